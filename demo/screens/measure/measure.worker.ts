// The bench, off the page's own thread.
import { bench } from '../../../bench/page.ts';
import { NormError } from '../../../src/index.ts';
import { answerWith } from '../../shared/asked.ts';
import type { Answer, Question } from './messages.ts';

/** As `npm run bench` has them. */
const sampleMs = 60;
const maxRepeats = 200;

answerWith<Question, Answer>(async (question) => {
  switch (question.type) {
    case 'start': {
      if (!navigator.gpu) throw new NormError('no-webgpu', 'Workers have no WebGPU in this browser.', '');
      const peers = question.peers && (await import('./peers.ts')).peerSources;
      return { type: 'facts', facts: await bench.start({ gpu: navigator.gpu, peers, sampleMs }) };
    }
    case 'measure': {
      const { row, rounds, peers } = question;
      return { type: 'result', result: await bench.run(row, { rounds, sampleMs, maxRepeats, peers }) };
    }
    case 'sweep': {
      const { row, rounds } = question;
      return { type: 'schedules', schedules: await bench.sweep(row, { rounds, sampleMs, maxRepeats }) };
    }
  }
});
