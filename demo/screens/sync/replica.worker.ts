// One replica, or the big batch, on a GPUDevice of its own.
import { GroupError, MessagePortProcessGroup } from '../../../src/distributed/index.ts';
import { type Gpu, init } from '../../../src/index.ts';
import { adapterName } from '../../shared/adapter.ts';
import { answerWith } from '../../shared/asked.ts';
import type { Answer, Question, Report } from './messages.ts';
import { Replica } from './replica.ts';
import type { Settings } from './settings.ts';

/** How long a replica waits for the others. */
const timeout = 6000;

let gpu: Gpu | undefined;
let settings: Settings | undefined;
let group: MessagePortProcessGroup | undefined;
let replica: Replica | undefined;
let failure: string | undefined;

answerWith<Question, Answer>(async (question) => {
  switch (question.type) {
    case 'start':
      settings = question.settings;
      gpu = await init();
      return { type: 'ready', adapter: adapterName(gpu) };
    case 'join': {
      const { device, size } = { device: started(), size: settings?.replicas ?? 1 };
      group = await MessagePortProcessGroup.join(question.port, { rank: question.rank, size, timeout });
      replica = new Replica(device, settings as Settings, group);
      return report();
    }
    case 'whole':
      replica = new Replica(started(), settings as Settings);
      return report();
    case 'advance':
      try {
        for (let i = 0; i < question.steps && !failure; i++) await replica?.advance();
      } catch (error) {
        // The others are gone; what this one has learnt is still there.
        if (!(error instanceof GroupError)) throw error;
        failure = `${error.code}: ${error.message}`;
      }
      return report();
  }
});

function started(): Gpu {
  if (!gpu) throw new Error('The worker was not started.');
  return gpu;
}

async function report(): Promise<Report> {
  return {
    type: 'report',
    step: replica?.step ?? 0,
    standings: (await replica?.standings()) ?? [],
    bytesSent: group?.traffic.bytesSent ?? 0,
    failure,
  };
}
