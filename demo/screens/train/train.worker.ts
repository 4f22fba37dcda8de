// Trains off the page's own thread, on a GPUDevice of its own.
import { type Gpu, init } from '../../../src/index.ts';
import { adapterName } from '../../shared/adapter.ts';
import { troubleOf } from '../../shared/screen.ts';
import type { Answer, Command } from './messages.ts';
import { Race } from './race.ts';
import { raceKey, type Settings } from './settings.ts';

/** Steps between two reports take at least this long, and about as long as a report. */
const leastMilliseconds = 60;
const mostSteps = 32;

let gpu: Gpu | undefined;
let settings: Settings | undefined;
let race: Race | undefined;
/** Of the race that is on. */
let key = '';
let races = 0;
let playing = false;
let stepsAsked = 0;
let last = 0;
let told = -1;
let working = false;
let perReport = 1;

const post = (answer: Answer): void => postMessage(answer);
/** Lets messages in. */
const turn = (): Promise<unknown> => new Promise((next) => setTimeout(next));

addEventListener('message', ({ data }: MessageEvent<Command>) => {
  last = data.id;
  switch (data.type) {
    case 'set':
      settings = data.settings;
      break;
    case 'reset':
      key = '';
      playing = false;
      stepsAsked = 0;
      break;
    case 'play':
      playing = true;
      break;
    case 'pause':
      playing = false;
      break;
    case 'step':
      playing = false;
      stepsAsked += 1;
      break;
  }
  if (!working) void work();
});

async function work(): Promise<void> {
  working = true;
  try {
    gpu ??= await start();
    while (settings && (playing || told !== last)) {
      const known = last;
      if (!race || raceKey(settings) !== key) {
        race?.destroy();
        race = new Race(gpu, settings);
        key = raceKey(settings);
        races += 1;
      }
      const steps = playing ? perReport : stepsAsked;
      stepsAsked = 0;
      const began = performance.now();
      for (let i = 0; i < steps; i++) race.advance(settings);
      await gpu.device.queue.onSubmittedWorkDone();
      const stepped = performance.now();
      await report(gpu, race, settings, known);
      told = known;
      if (playing) adapt(stepped - began, performance.now() - stepped);
      await turn();
    }
    working = false;
  } catch (error) {
    post({ type: 'trouble', trouble: troubleOf(error) });
  }
}

function adapt(steps: number, report: number): void {
  const wanted = Math.max(leastMilliseconds, report);
  if (steps > 2 * wanted) perReport = Math.max(1, perReport >> 1);
  else if (steps < wanted) perReport = Math.min(mostSteps, 2 * perReport);
}

async function start(): Promise<Gpu> {
  const started = await init();
  void started.lost.then((reason) => {
    const message = `The GPU device was lost (${reason}). The settings are kept.`;
    post({ type: 'trouble', trouble: { message } });
  });
  return started;
}

async function report(gpu: Gpu, race: Race, settings: Settings, id: number): Promise<void> {
  const standings = await race.standings(settings);
  const layers = await race.histograms(settings);
  const convergence = await race.convergence();
  post({
    type: 'report',
    id,
    race: races,
    step: race.step,
    playing,
    standings,
    layers,
    convergence,
    adapter: adapterName(gpu),
  });
}
