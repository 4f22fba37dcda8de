// Runs the checks off the page's own thread: the GPU's part, and float64's.
import { type Gpu, init, NormError } from '../../../src/index.ts';
import { verify } from '../../../test/support/subject.ts';
import { adapterName } from '../../shared/adapter.ts';
import { answerWith } from '../../shared/asked.ts';
import { type Check, checksOf } from './checks.ts';
import type { Answer, Question, Verdict } from './messages.ts';
import { checkResponse, responseRuns } from './response.ts';
import type { Settings } from './settings.ts';

let gpu: Gpu | undefined;
let checks: Check[] = [];

answerWith<Question, Answer>(async (question) => {
  switch (question.type) {
    case 'start':
      gpu = await init();
      return { type: 'facts', adapter: adapterName(gpu), features: [...gpu.device.features].sort() };
    case 'list':
      return list(started(), question.settings);
    case 'check':
      return { type: 'verdict', verdict: await judge(started(), checks[question.index] as Check) };
  }
});

function started(): Gpu {
  if (!gpu) throw new Error('The worker was not started.');
  return gpu;
}

function list(gpu: Gpu, { ops, dtypes }: Settings): Answer {
  // It has no parameters to be of another type.
  checks = ops.flatMap((op) =>
    dtypes
      .filter((dtype) => dtype !== 'mixed' || op !== 'localResponseNorm')
      .flatMap((dtype) => checksOf(gpu, op, dtype)),
  );
  return { type: 'list', count: checks.length };
}

async function judge(gpu: Gpu, check: Check): Promise<Verdict> {
  const { op, dtype, strategy, subjects } = check;
  const began = performance.now();
  const about = { op, dtype, strategy, runs: op === 'localResponseNorm' ? responseRuns : subjects.length };
  try {
    const errors =
      op === 'localResponseNorm'
        ? await checkResponse(gpu, dtype === 'f32' ? 'f32' : 'f16')
        : (await Promise.all(subjects.map(({ data, ...subject }) => verify(gpu, subject, data)))).flat();
    // A sum is to be exact: its bound is 0, and so is its error.
    const shareOf = ({ error, bound }: { error: number; bound: number }) => (error === 0 ? 0 : error / bound);
    const worst = errors.reduce((a, b) => (shareOf(b) > shareOf(a) ? b : a));
    const took = performance.now() - began;
    return {
      ...about,
      ...worst,
      share: shareOf(worst),
      failure: shareOf(worst) <= 1 ? undefined : 'too far off',
      took,
    };
  } catch (error) {
    if (error instanceof NormError && error.code === 'device-lost') throw error;
    const failure = error instanceof Error ? error.message : String(error);
    const took = performance.now() - began;
    return { ...about, output: '', error: Number.NaN, bound: 0, share: Number.NaN, failure, took };
  }
}
