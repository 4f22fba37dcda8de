/** Scratch stays within its cap, and what it makes programs do in parts gives the same results. */
import {
  type Gpu,
  init,
  localResponseNorm,
  localResponseNormBackward,
  type NormOp,
  type Tensor,
  type WorkspaceOptions,
  workspaceBytes,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import {
  type DataOptions,
  hasResidual,
  isRms,
  parameterShapeOf,
  runBackward,
  runForward,
  type Subject,
  summary,
  verifyAll,
} from '../support/subject.ts';

// So small that tensors of a few thousand elements are done in parts.
const leastWorkspace = 32 * 1024;

const inParts: (Subject & { data?: DataOptions })[] = [
  // The sums of 1500 rows; partials of dweight that parts of the rows share; ranges of a long row's columns.
  { op: 'layerNorm', shape: [1500, 12], data: { offset: 100, dyMean: 1 } },
  { op: 'addLayerNorm', shape: [3, 5001] },
  { op: 'layerNorm', shape: [40, 1600], schedule: { strategy: 'registers', lanes: 64 } },
  // Samples in parts.
  { op: 'instanceNorm', shape: [301, 8, 9] },
  { op: 'groupNorm', shape: [300, 20], groups: 5 },
  // Planes that share a partial; columns that would be too many for one split.
  { op: 'batchNorm', shape: [61, 23, 9, 9], data: { offset: 1e4, dyMean: 1 } },
  { op: 'batchNorm', shape: [64, 40, 4, 4], activation: 'relu', residual: true },
  { op: 'batchNorm', shape: [4000, 24], layout: 'channels-last' },
];

const context = async (device: GPUDevice, software: boolean, least = leastWorkspace): Promise<Gpu> =>
  init({ device, facts: { leastWorkspace: least, software } });

type Measured = [Subject & { op: NormOp }, WorkspaceOptions?];

const measured: Measured[] = [
  [{ op: 'layerNorm', shape: [4096, 32] }],
  [{ op: 'layerNorm', shape: [2, 20_000] }],
  [{ op: 'addRmsNorm', shape: [512, 128] }],
  [{ op: 'groupNorm', shape: [8, 32, 400], groups: 4 }, { numGroups: 4 }],
  [{ op: 'instanceNorm', shape: [32, 64, 9] }],
  [{ op: 'batchNorm', shape: [32, 64, 8, 8], activation: 'relu', residual: true }],
];

/** Bytes of buffers that are made from now on, by the first word of their label. */
function countBytes(device: GPUDevice): Map<string, number> {
  const bytes = new Map<string, number>();
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const word = descriptor.label?.split(' ')[0] ?? '';
    bytes.set(word, (bytes.get(word) ?? 0) + descriptor.size);
    return create(descriptor);
  };
  return bytes;
}

export const cases: Case[] = [
  ...[true, false].map(
    (software): Case => ({
      name: `workspace: in parts, as on ${software ? 'a software adapter' : 'a GPU'}`,
      timeout: 120_000,
      async run(t) {
        const ofRows = ({ op }: Subject) => op === 'layerNorm' || op === 'addLayerNorm';
        // The backward of rows on a GPU may take sixteen times as much.
        for (const [rows, least] of [
          [true, software ? leastWorkspace : leastWorkspace / 16],
          [false, leastWorkspace],
        ] as const) {
          const gpu = await context(t.device, software, least);
          const list = inParts.filter((one) => ofRows(one) === rows);
          t.note(rows ? 'rows in parts' : 'others in parts', summary(await verifyAll(gpu, list)));
          gpu.destroy();
        }
      },
    }),
  ),
  {
    name: 'workspace: in parts, f16',
    timeout: 120_000,
    async run(t) {
      const gpu = await context(t.device, true);
      // Those whose parts' gradients meet in f32, and one of each other kind.
      const some = inParts.filter((_, i) => i % 2 === 0 || i === 3);
      const list = some.map((subject) => ({ ...subject, dtype: 'f16' as const, data: {} }));
      t.note('in parts', summary(await verifyAll(gpu, list)));
      gpu.destroy();
    },
  },
  {
    name: 'workspace: calls allocate what workspaceBytes says, and outputs',
    async run({ gpu, device, note }) {
      const made = countBytes(device);
      try {
        const lines: string[] = [];
        for (const software of [true, false]) {
          for (const [subject, options] of measured) {
            lines.push(await compare(gpu, software, subject, options, made));
          }
        }
        note('bytes forward, backward', lines.join('; '));
      } finally {
        delete (device as { createBuffer?: unknown }).createBuffer;
      }
    },
  },
  {
    name: 'workspace: local response normalization in parts',
    async run({ gpu, device, note }) {
      const list = [
        [[3, 7, 20, 24], 'channels-first'],
        [[3, 7, 31, 33], 'channels-first'],
        [[2, 20, 25, 7], 'channels-last'],
      ] as const;
      const small = await context(device, true);
      for (const [shape, layout] of list) {
        const count = shape.reduce((product, size) => product * size, 1);
        const [x, dy] = [gpu.tensor(normal(count), shape), gpu.tensor(normal(count, { seed: 2 }), shape)];
        const options = { size: 3, alpha: 1, layout };
        for (const body of [
          (on: Gpu) => localResponseNorm(on, x, options).y,
          (on: Gpu) => localResponseNormBackward(on, dy, x, options).dx,
        ]) {
          const [whole, parts] = [body(gpu), body(small)];
          assertEqual(await parts.data(), await whole.data(), `${shape}`);
        }
        note(`${shape}`, `${workspaceBytes(small, 'localResponseNorm', shape, options)} bytes`);
        assert(workspaceBytes(small, 'localResponseNorm', shape, options) <= leastWorkspace);
      }
      small.destroy();
    },
  },
];

/** Calls forward and backward, each on a context without scratch, and compares what that made with what was announced. */
async function compare(
  gpu: Gpu,
  software: boolean,
  subject: Measured[0],
  options: WorkspaceOptions | undefined,
  made: Map<string, number>,
): Promise<string> {
  const { op, shape, activation } = subject;
  const like = () => gpu.zeros(shape);
  const [x, dy, residual] = [like(), like(), like()];
  const parameter = gpu.zeros(parameterShapeOf(subject));
  const bytes = async (pass: 'forward' | 'backward', body: (fresh: Gpu) => Tensor[]) => {
    const fresh = await init({ device: gpu.device, facts: { software } });
    made.clear();
    const outputs = body(fresh).reduce((sum, tensor) => sum + tensor.buffer.size, 0);
    const announced = workspaceBytes(fresh, op, shape, {
      ...options,
      activation,
      residual: subject.residual,
      pass,
    });
    const { tensor = 0, scratch = 0, params = 0, ...others } = Object.fromEntries(made);
    assertEqual(scratch, announced, `${op} ${shape} ${pass}`);
    assertEqual(tensor, outputs, `outputs of ${op} ${shape} ${pass}`);
    assert(params <= 32 * 1024, `${params} bytes of numbers`);
    assertEqual(Object.keys(others), [], 'other buffers');
    fresh.destroy();
    return scratch;
  };
  let saved: ReturnType<typeof runForward> | undefined;
  const forward = await bytes('forward', (fresh) => {
    saved = runForward(fresh, subject, x, residual, parameter, isRms(subject) ? undefined : parameter);
    return Object.values(saved);
  });
  const { mean, rstd } = saved as ReturnType<typeof runForward>;
  const statistics = { mean: mean && gpu.zeros(mean.shape), rstd: gpu.zeros(rstd.shape) };
  const backward = await bytes('backward', (fresh) => {
    const after = subject.residual ? residual : undefined;
    const bias = isRms(subject) ? undefined : parameter;
    const dsum = hasResidual(subject) ? dy : undefined;
    const { mean, rstd } = statistics;
    const results = runBackward(fresh, subject, dy, x, parameter, bias, after, mean, rstd, dsum);
    return Object.values(results).filter((tensor) => tensor !== null);
  });
  for (const tensor of [x, dy, residual, parameter, statistics.mean, statistics.rstd]) tensor?.destroy();
  return `${op} ${shape.join('x')} ${forward}, ${backward}`;
}
