/** Norms whose result is multiplied by the activation of a gate, as in Mamba-2: y = (x̂·weight + bias)·activation(gate). */
import { init, type NormError, RMSNorm, rmsNorm, rmsNormBackward, type Strategy } from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';

const strategies: Strategy[] = ['thread', 'registers', 'workgroup', 'split'];

type Listed = Subject & { data?: DataOptions };

const shapes: Listed[] = [
  { op: 'rmsNorm', shape: [33, 48], gate: true, activation: 'silu', data: { dyMean: 1 } },
  { op: 'rmsNorm', shape: [9, 40], groups: 4, gate: true, activation: 'silu' },
  { op: 'layerNorm', shape: [7, 35], gate: true, data: { offset: 1e4 } },
  { op: 'layerNorm', shape: [3, 5, 24], apart: 1, zeroCentered: true, gate: true, activation: 'gelu' },
  { op: 'groupNorm', shape: [3, 8, 4, 5], groups: 2, gate: true, activation: 'silu' },
  {
    op: 'groupNorm',
    shape: [2, 6, 7, 12],
    groups: 3,
    layout: 'channels-last',
    gate: true,
    activation: 'relu',
  },
  { op: 'instanceNorm', shape: [2, 3, 8, 8], gate: true, activation: 'hardswish' },
  { op: 'batchNorm', shape: [6, 5, 3, 3], gate: true, activation: 'silu' },
  { op: 'batchNorm', shape: [40, 12], gate: true, evaluation: true },
  { op: 'rmsNorm', shape: [20, 24], activation: 'silu' },
  { op: 'rmsNorm', shape: [20, 24], activation: 'relu', residual: true },
];

const forced = (strategy: Strategy): Listed[] =>
  shapes.slice(0, 3).map((subject) => ({
    ...subject,
    schedule: {
      strategy,
      workgroup: 16,
      ...(strategy === 'registers' ? { lanes: 4 } : {}),
      ...(strategy === 'split' ? { splits: 2 } : {}),
    },
  }));

export const cases: Case[] = [
  {
    name: 'gate: every norm',
    timeout: 180_000,
    async run(t) {
      t.note('errors', summary(await verifyAll(t.gpu, shapes)));
    },
  },
  {
    name: 'gate: every strategy',
    timeout: 180_000,
    async run(t) {
      t.note('errors', summary(await verifyAll(t.gpu, strategies.flatMap(forced))));
    },
  },
  {
    name: 'gate: as on a GPU',
    timeout: 180_000,
    async run(t) {
      const gpu = await init({ device: t.device, facts: { software: false } });
      const few = shapes.filter((_, i) => [0, 4, 5, 7].includes(i));
      t.note('errors', summary(await verifyAll(gpu, few)));
      gpu.destroy();
    },
  },
  {
    name: 'gate: f16',
    requires: ['f16'],
    timeout: 180_000,
    async run(t) {
      const half = shapes.slice(0, 8).map((subject) => ({ ...subject, dtype: 'f16' as const, data: {} }));
      t.note('errors', summary(await verifyAll(t.gpu, half)));
    },
  },
  {
    name: 'gate: of modules, and what cannot be is refused',
    async run({ gpu }) {
      const tensor = (seed: number) => gpu.tensor(normal(6 * 24, { seed }), [6, 24]);
      const [x, gate, dy] = [tensor(1), tensor(2), tensor(3)];
      const norm = new RMSNorm(gpu, 24, { activation: 'silu' });
      const options = { normalizedShape: 24, activation: 'silu', gate, weight: norm.weight?.data } as const;
      const { y, rstd } = rmsNorm(gpu, x, options);
      assertEqual(await norm.forward(x, { gate }).data(), await y.data(), 'y');
      const expected = rmsNormBackward(gpu, dy, x, { ...options, rstd });
      const codeOf = (body: () => unknown): string => {
        try {
          body();
        } catch (error) {
          return (error as NormError).code;
        }
        return 'none';
      };
      assertEqual(
        codeOf(() => norm.backward(dy)),
        'order',
        'backward after a forward with a gate',
      );
      const { dx, dgate } = norm.backwardGate(dy);
      assertEqual(await dx.data(), await expected.dx.data(), 'dx');
      assertEqual(await dgate.data(), await (expected.dgate as typeof dx).data(), 'dgate');
      assertEqual(await norm.weight?.grad?.data(), await expected.dweight?.data(), 'dweight');
      norm.forward(x);
      assertEqual(
        codeOf(() => norm.backwardGate(dy)),
        'order',
        'backwardGate after a forward without',
      );
      assertEqual(
        codeOf(() => rmsNorm(gpu, x, { ...options, residual: dy })),
        'value',
        'residual beside a gate',
      );
      const short = gpu.tensor(normal(5 * 24), [5, 24]);
      assertEqual(
        codeOf(() => rmsNorm(gpu, x, { ...options, gate: short })),
        'shape',
        'a gate of another shape',
      );
      const named = { ...options, rstd, dsum: dy };
      assertEqual(
        codeOf(() => rmsNormBackward(gpu, dy, x, named)),
        'value',
        'dsum beside a gate',
      );
    },
  },
];
