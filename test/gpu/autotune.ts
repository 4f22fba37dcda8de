/** Schedules that are measured and remembered. */
import { type AutotuneOptions, autotune, loadTuned, type TuningStorage } from '../../src/autotune/index.ts';
import { classOf, store } from '../../src/autotune/tuned.ts';
import { type Gpu, init, LayerNorm, type NormOp, workspaceBytes } from '../../src/index.ts';
import { forwardDescriptor } from '../../src/ops/descriptors.ts';
import { callOf, prepareOptionsOf } from '../../src/ops/op-options.ts';
import { programsOf } from '../../src/ops/prepare-norm.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { summary, verifyAll } from '../support/subject.ts';

/** As localStorage. */
class Memory implements TuningStorage {
  readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
}

// A software adapter may take a second to compile a pipeline: two schedules do.
const schedules = [{ strategy: 'thread', workgroup: 8 } as const, { strategy: 'split', splits: 2 } as const];
const quick = { rounds: 2, sampleMs: 1, schedules };
const shape = [96, 64];

const programOf = (gpu: Gpu, of: readonly number[] = shape) =>
  programsOf(gpu, callOf('layerNorm', of, {}), prepareOptionsOf('layerNorm', {}));

/** A storage with one choice for forward of `shape`, as autotune leaves it. */
async function stored(gpu: Gpu, text: (name: string) => string): Promise<Memory> {
  const memory = new Memory();
  const call = callOf('layerNorm', shape, {});
  const forward = forwardDescriptor(call, prepareOptionsOf('layerNorm', {}));
  // The key is whatever is asked for.
  loadTuned(gpu, {
    getItem: (key) => {
      memory.setItem(key, text(classOf('forward', forward, gpu.facts)));
      return null;
    },
    setItem: () => {},
  });
  return memory;
}

const runs: [NormOp, readonly number[], AutotuneOptions][] = [
  ['addLayerNorm', shape, {}],
  // A residual leaves a forward pass all strategies.
  ['layerNorm', shape, { activation: 'relu', residual: true }],
  [
    'groupNorm',
    [4, 8, 25],
    {
      numGroups: 2,
      activation: 'relu',
      residual: true,
      pass: 'backward',
      schedules: [{ splits: 3 }, { workgroup: 32 }],
    },
  ],
  ['batchNorm', [4, 6, 5, 5], { layout: 'channels-last', schedules: [{ splits: 3 }, { workgroup: 32 }] }],
];

export const cases: Case[] = [
  {
    name: 'autotune: measures what there is and leaves nothing behind',
    timeout: 120_000,
    async run({ device, note }) {
      const gpu = await init({ device });
      for (const [op, of, options] of runs) {
        const before = JSON.stringify(gpu.memory());
        const steps: number[] = [];
        let total = 0;
        const result = await autotune(gpu, op, of, {
          ...quick,
          ...options,
          onProgress: (progress) => {
            steps.push(progress.done);
            total = progress.total;
          },
        });
        const what = `${op} ${options.pass ?? 'forward'}`;
        const { candidates, chosen, trustworthy } = result;
        const refused = candidates.filter(({ ms }) => ms === null);
        assertEqual(
          refused.map(({ name, problem }) => `${name}: ${problem}`),
          [],
          `${what}: refused`,
        );
        assert(candidates.every(({ ms }) => (ms as number) > 0) && candidates.length === 4, `${what}: timed`);
        assertEqual(candidates.filter(({ name }) => name.startsWith('default')).length, 2);
        assertEqual(
          steps,
          Array.from({ length: total }, (_, i) => i + 1),
          `${what}: progress`,
        );
        assertEqual(total, candidates.length * 3);
        assert(trustworthy || chosen === null, 'nothing is chosen by times that are noise');
        assertEqual(JSON.stringify(gpu.memory()), before, `${what}: memory`);
        note(what, `${candidates.length} schedules, ${trustworthy ? JSON.stringify(chosen) : 'noise'}`);
      }
      gpu.destroy();
    },
  },
  {
    name: 'autotune: as on a GPU',
    timeout: 120_000,
    async run({ device }) {
      const gpu = await init({ device, facts: { software: false } });
      const { candidates } = await autotune(gpu, 'layerNorm', [16, 64], {
        rounds: 1,
        sampleMs: 1,
        schedules: [
          { strategy: 'registers', lanes: 8 },
          { strategy: 'workgroup', workgroup: 32 },
        ],
      });
      assertEqual(
        candidates.filter(({ ms }) => ms === null).map(({ problem }) => problem),
        [],
      );
      assert(candidates.some(({ schedule }) => schedule.strategy === 'registers'));
      gpu.destroy();
    },
  },
  {
    name: 'autotune: a choice is used, gives the same results, and is of its class alone',
    timeout: 120_000,
    async run({ device, note }) {
      const gpu = await init({ device });
      const [before] = programOf(gpu);
      const module = new LayerNorm(gpu, 64);
      const x = gpu.tensor(normal(96 * 64), shape);
      const out = gpu.empty(shape);
      const first = await module.forward(x, { out }).data();
      module.forward(x, { out });
      const memory = await stored(gpu, (name) =>
        JSON.stringify({ [name]: { strategy: 'split', splits: 4 } }),
      );
      assertEqual(loadTuned(gpu, memory).loaded, 1);
      const [after] = programOf(gpu);
      assert(before.steps.length === 1 && after.steps.length === 3, 'the program is that of a split');
      assertEqual(programOf(gpu, [100, 68])[0].steps.length, 3, 'of the same class');
      assertEqual(programOf(gpu, [2000, 64])[0].steps.length, 1, 'of another one');
      const without = workspaceBytes(gpu, 'layerNorm', shape, { pass: 'forward', statistics: false });
      assert(without > workspaceBytes(gpu, 'layerNorm', shape, { pass: 'forward' }), 'without statistics');
      out.write(new Float32Array(96 * 64));
      const again = await module.forward(x, { out }).data();
      const off = again.reduce((most, value, i) => Math.max(most, Math.abs(value - (first[i] as number))), 0);
      assert(off < 2e-6, `off by ${off}`);
      // Judged by float64, twice bit for bit.
      note(
        'with the choice',
        summary(await verifyAll(gpu, [{ op: 'layerNorm', shape, data: { offset: 1e4 } }])),
      );
      gpu.destroy();
    },
  },
  {
    name: 'autotune: a choice is stored, and known to the next context',
    timeout: 120_000,
    async run({ device, note }) {
      const memory = new Memory();
      const gpu = await init({ device });
      let result = await autotune(gpu, 'layerNorm', shape, { ...quick, storage: memory });
      // Noise on a busy machine: as good as no run at all.
      for (let i = 0; i < 5 && !result.trustworthy; i++) {
        assertEqual(memory.items.size, 0, 'noise is not remembered');
        result = await autotune(gpu, 'layerNorm', shape, { ...quick, sampleMs: 4, storage: memory });
      }
      if (!result.trustworthy) {
        note('storing', 'six runs of noise: the default is stored by hand');
        const forward = forwardDescriptor(callOf('layerNorm', shape, {}), prepareOptionsOf('layerNorm', {}));
        store(gpu, memory, classOf('forward', forward, gpu.facts), null);
      }
      assertEqual(memory.items.size, 1);
      const second = await init({ device });
      const known = await autotune(second, 'layerNorm', [97, 64], { ...quick, storage: memory });
      assertEqual([known.known, JSON.stringify(known.chosen)], [true, JSON.stringify(result.chosen)]);
      const third = await init({ device });
      assertEqual(loadTuned(third, memory).loaded, 1);
      assertEqual(loadTuned(third, memory).problems, []);
      const measured = await autotune(third, 'layerNorm', shape, { ...quick, again: true });
      assertEqual(measured.known, false);
      for (const one of [gpu, second, third]) one.destroy();
    },
  },
  {
    name: 'autotune: a storage that is broken is left out, and said so',
    async run({ device }) {
      const gpu = await init({ device });
      const broken: [string, (name: string) => string, number][] = [
        ['no JSON', () => '{"', 0],
        ['a list', () => '[1]', 0],
        ['no schedule', (name) => JSON.stringify({ [name]: { strategy: 'magic' }, other: null }), 1],
        ['unknown fields', (name) => JSON.stringify({ [name]: { speed: 9 } }), 0],
        [
          'numbers that are none',
          (name) => JSON.stringify({ [name]: { strategy: 'split', splits: 1e99 } }),
          1,
        ],
        [
          'more than a device has',
          (name) => JSON.stringify({ [name]: { strategy: 'thread', workgroup: 4096 } }),
          1,
        ],
        ['too much scratch', (name) => JSON.stringify({ [name]: { strategy: 'split', splits: 1e6 } }), 1],
      ];
      for (const [what, text, loaded] of broken) {
        const fresh = await init({ device });
        const result = loadTuned(fresh, await stored(fresh, text));
        assertEqual(result.loaded, loaded, what);
        assertEqual(result.problems.length > 0, loaded === 0 || what === 'no schedule', `${what}: problems`);
        assertEqual(programOf(fresh)[0].steps.length, 1, `${what}: the default holds`);
        fresh.destroy();
      }
      const denied: TuningStorage = {
        getItem: () => {
          throw new Error('denied');
        },
        setItem: () => {
          throw new Error('full');
        },
      };
      assert(loadTuned(gpu, denied).problems[0]?.includes('denied') === true);
      const { problem } = await autotune(gpu, 'layerNorm', shape, { ...quick, storage: denied });
      assert(problem?.includes('denied') || problem?.includes('full'), `problem: ${problem}`);
      gpu.destroy();
    },
  },
  {
    name: 'autotune: an abort ends it with its reason, and nothing is left',
    async run({ device }) {
      const gpu = await init({ device });
      for (const at of [0, 1, 3, 12]) {
        const before = JSON.stringify(gpu.memory());
        const controller = new AbortController();
        const reason = new Error(`enough after ${at}`);
        if (at === 0) controller.abort(reason);
        let steps = 0;
        const error = await autotune(gpu, 'layerNorm', shape, {
          ...quick,
          signal: controller.signal,
          onProgress: () => {
            steps += 1;
            if (steps === at) controller.abort(reason);
          },
        }).catch((thrown: unknown) => thrown);
        assert(error === reason, `${error}`);
        assertEqual(steps, at);
        assertEqual(JSON.stringify(gpu.memory()), before);
      }
      const error = await autotune(gpu, 'layerNorm', [0], { normalizedShape: 3 }).catch((e: unknown) => e);
      assertEqual((error as { code?: string }).code, 'shape');
      gpu.destroy();
    },
  },
];
