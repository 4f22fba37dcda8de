/** Clipping and scaling of gradients: against PyTorch and its rules, what is not finite, recording, errors. */

import type { FloatDType, Gpu, Parameter, Tensor } from '../../src/index.ts';
import { AdamW, clipGradNorm, clipGradValue, GradScaler, SGD } from '../../src/optim/index.ts';
import { assert, assertEqual, assertSame, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { decode, type GoldenTensor } from '../support/golden.ts';
import { parameterOf, setGradient } from '../support/optimizers.ts';

interface ClipCase {
  name: string;
  max: number;
  gradients: GoldenTensor[];
  /** Absent: cut to values. */
  norm?: '2.0' | '1.0' | 'inf';
  total?: number;
  after: GoldenTensor[];
}

const norms = { '2.0': 2, '1.0': 1, inf: Number.POSITIVE_INFINITY };

/** Parameters of zeros with these gradients. */
function withGradients(
  gpu: Gpu,
  gradients: readonly ArrayLike<number>[],
  dtype: FloatDType = 'f32',
): Parameter[] {
  return gradients.map((gradient) => {
    const parameter = parameterOf(gpu, new Float32Array(gradient.length), [gradient.length], dtype);
    setGradient(parameter, gradient);
    return parameter;
  });
}

const gradientsOf = (parameters: readonly Parameter[]) =>
  Promise.all(parameters.map(({ grad }) => (grad as Tensor).data()));

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

export const cases: Case[] = [
  {
    name: "clipping: PyTorch's norms and gradients, of every magnitude",
    async run({ gpu, readJson, note }) {
      const { cases: all } = (await readJson('golden/clipping.json')) as { cases: ClipCase[] };
      let worst = 0;
      const within = (what: string, error: number) => {
        worst = Math.max(worst, error);
        assert(error <= 1e-6, `${what}: error ${error.toExponential(2)}`);
      };
      for (const { name, max, gradients, norm, total, after } of all) {
        const parameters = withGradients(
          gpu,
          gradients.map((one) => decode(one)),
        );
        if (norm) {
          const found = clipGradNorm(parameters, max, { normType: norms[norm] });
          assertSame(found.shape, [], name);
          within(`${name}: norm`, relativeError(await found.data(), [total as number]));
          found.destroy();
        } else clipGradValue(parameters, max);
        for (const [i, values] of (await gradientsOf(parameters)).entries()) {
          const expected = decode(after[i] as GoldenTensor);
          within(
            `${name}, gradient ${i}`,
            max === 0 ? Math.max(...values.map(Math.abs)) : relativeError(values, expected),
          );
        }
        for (const parameter of parameters) parameter.destroy();
      }
      note(`${all.length} cases`, `largest error ${worst.toExponential(2)}`);
    },
  },
  {
    name: 'clipping: large gradients, one parameter, none, and what is not finite',
    async run({ gpu }) {
      const long = normal(300_001, { seed: 3 });
      const sums = [0, 0, 0];
      for (const value of long) {
        sums[0] = Math.max(sums[0] as number, Math.abs(value));
        (sums[1] as number) += Math.abs(value);
        (sums[2] as number) += value * value;
      }
      for (const [normType, expected] of [
        [2, Math.sqrt(sums[2] as number)],
        [1, sums[1]],
        [infinity, sums[0]],
      ] as [number, number][]) {
        const [parameter] = withGradients(gpu, [long]) as [Parameter];
        const total = clipGradNorm(parameter, expected / 4, { normType });
        const error = relativeError(await total.data(), [expected]);
        assert(error <= 1e-6, `norm ${normType}: ${error.toExponential(2)}`);
        const clipped = await (parameter.grad as Tensor).data();
        assert(
          relativeError(
            clipped,
            long.map((value) => value / 4),
          ) <= 2e-6,
          `norm ${normType}: gradient`,
        );
        total.destroy();
        parameter.destroy();
      }
      const none = parameterOf(gpu, [1], [1]);
      const zero = clipGradNorm([none], 1);
      assertEqual(await zero.data(), Float32Array.of(0), 'without gradients');
      clipGradValue([none], 1);
      zero.destroy();
      none.destroy();
      // PyTorch: an infinite norm is a factor of 0, a NaN one is NaN.
      for (const [given, norm, after] of [
        [[1, infinity, -2], infinity, [0, nan, -0]],
        [[1, -infinity, -2], infinity, [0, nan, -0]],
        [[1, nan, infinity], nan, [nan, nan, nan]],
      ] as [number[], number, number[]][]) {
        for (const normType of [1, 2, infinity]) {
          const parameters = withGradients(gpu, [given, [4]]);
          const total = clipGradNorm(parameters, 1, { normType });
          assertEqual(await total.data(), Float32Array.of(norm), `${given}: norm ${normType}`);
          const [first, second] = (await gradientsOf(parameters)) as [Float32Array, Float32Array];
          assertEqual(
            first.map(Math.abs),
            Float32Array.from(after.map(Math.abs)),
            `${given}, norm ${normType}`,
          );
          assertEqual(second, Float32Array.of(Number.isNaN(norm) ? nan : 0), `${given}, norm ${normType}`);
          total.destroy();
          for (const parameter of parameters) parameter.destroy();
        }
      }
      const [cut] = withGradients(gpu, [[nan, infinity, -infinity, 0.25]]) as [Parameter];
      clipGradValue(cut, 0.5);
      assertEqual(await (cut.grad as Tensor).data(), Float32Array.of(nan, 0.5, -0.5, 0.25), 'values');
      cut.destroy();
    },
  },
  ...(['f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `clipping: ${dtype} gradients`,
      async run({ gpu }) {
        // Squares of 300 are beyond f16.
        const parameters = withGradients(gpu, [Array(16).fill(300), Array(9).fill(-400)], dtype);
        const last = dtype === 'f16' ? 2 ** -11 : 2 ** -8;
        const total = clipGradNorm(parameters, 850);
        const expected = Math.sqrt(16 * 300 ** 2 + 9 * 400 ** 2);
        assert(relativeError(await total.data(), [expected]) <= 1e-6, 'norm');
        const [first, second] = (await gradientsOf(parameters)) as [Float32Array, Float32Array];
        assert(
          relativeError(
            first,
            first.map(() => (300 * 850) / expected),
          ) <= last,
          'gradient',
        );
        assert(
          relativeError(
            second,
            second.map(() => (-400 * 850) / expected),
          ) <= last,
          'gradient',
        );
        total.destroy();
        for (const parameter of parameters) parameter.destroy();
      },
    }),
  ),
  {
    name: "scaling: PyTorch's scale over a trace with infinities; steps with one change nothing",
    async run({ gpu, device }) {
      const bad = new Set([0, 1, 5, 11, 12, 20]);
      const options = { initScale: 1024, growthFactor: 4, backoffFactor: 0.25, growthInterval: 3 };
      // PyTorch's rule, torch/amp/grad_scaler.py and _amp_update_scale_.
      let [scale, tracker] = [options.initScale, 0];
      const rule = (found: boolean) => {
        if (found) [scale, tracker] = [scale * options.backoffFactor, 0];
        else if (++tracker === options.growthInterval) [scale, tracker] = [scale * options.growthFactor, 0];
      };
      const [scaled, plain] = [0, 1].map(() => withGradients(gpu, [[0, 0, 0], [0]])) as [
        Parameter[],
        Parameter[],
      ];
      const optimizers = [scaled, plain].map(
        ([a, b]) => new SGD([a as Parameter, b as Parameter], { lr: 0.5, momentum: 0.5, dampening: 0.5 }),
      );
      const [first, second] = optimizers as [SGD, SGD];
      const scaler = new GradScaler(gpu, options);
      for (let step = 0; step < 25; step++) {
        const dy = gpu.tensor([1, -0.5, step % 4], [3]);
        const y = scaler.scale(dy);
        assertEqual(
          await y.data(),
          (await dy.data()).map((value) => value * scale),
          `step ${step}: scaled`,
        );
        setGradient(scaled[0] as Parameter, await y.data());
        setGradient(scaled[1] as Parameter, [bad.has(step) ? (step % 2 === 0 ? infinity : nan) : scale * 3]);
        const encoder = device.createCommandEncoder();
        const target = step % 3 === 0 ? {} : { encoder };
        if (step % 2 === 0) scaler.unscale(first, target);
        if (step % 2 === 0 && step % 3 === 0 && !bad.has(step)) {
          assertEqual(await scaled[0]?.grad?.data(), await dy.data(), `step ${step}: unscaled`);
        }
        scaler.step(first, target);
        scaler.update(target);
        device.queue.submit([encoder.finish()]);
        rule(bad.has(step));
        assertEqual(await scaler.getScale(), scale, `step ${step}: the scale`);
        if (!bad.has(step)) {
          setGradient(plain[0] as Parameter, await dy.data());
          setGradient(plain[1] as Parameter, [3]);
          second.step();
        }
        for (const [i, { data }] of scaled.entries()) {
          assertEqual(
            await data.data(),
            await (plain[i] as Parameter).data.data(),
            `step ${step}, parameter ${i}`,
          );
        }
        dy.destroy();
        y.destroy();
      }
      assertSame(await scaler.stateDict(), {
        scale,
        growth_factor: 4,
        backoff_factor: 0.25,
        growth_interval: 3,
        _growth_tracker: tracker,
      });
      const other = new GradScaler(gpu);
      other.loadStateDict(JSON.parse(JSON.stringify(await scaler.stateDict())));
      assertSame(await other.stateDict(), await scaler.stateDict());
      for (const one of [scaler, other, first, second]) one.destroy();
      for (const parameter of [...scaled, ...plain]) parameter.destroy();
    },
  },
  {
    name: 'scaling: optimizers have findings of their own, counts of steps stay, and a scale never becomes infinite',
    async run({ gpu }) {
      const [a, b] = withGradients(gpu, [[1], [infinity]]) as [Parameter, Parameter];
      const [first, second] = [a, b].map((one) => new AdamW([one], { lr: 1, weightDecay: 0 })) as [
        AdamW,
        AdamW,
      ];
      const scaler = new GradScaler(gpu, { initScale: 2, growthInterval: 1 });
      for (const one of [first, second]) scaler.step(one);
      scaler.update();
      assertEqual(await scaler.getScale(), 1, 'one of them was not finite');
      assert(((await a.data.data())[0] as number) < -0.99, 'the other one has stepped');
      assertEqual(await b.data.data(), Float32Array.of(0));
      assertEqual(await first.stateDict().state[0]?.step?.data(), Float32Array.of(1));
      assertEqual(await second.stateDict().state[0]?.step?.data(), Float32Array.of(0));
      scaler.setScale(2 ** 127);
      setGradient(b, [1]);
      for (const one of [first, second]) scaler.step(one);
      scaler.update();
      assertEqual(await scaler.getScale(), 2 ** 127);
      assertEqual(await second.stateDict().state[0]?.step?.data(), Float32Array.of(1));
      for (const one of [scaler, first, second]) one.destroy();
      for (const parameter of [a, b]) parameter.destroy();
    },
  },
  ...(['f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `scaling: ${dtype}, by a pass of the caller`,
      async run({ gpu, device }) {
        const [parameter] = withGradients(gpu, [[0, 0, 0]], dtype) as [Parameter];
        const scaler = new GradScaler(gpu, { initScale: 2 ** 14 });
        const dy = gpu.tensor([2 ** -20, -(2 ** -12), 1], [3], { dtype });
        const y = scaler.scale(dy, { out: gpu.zeros([3], { dtype }) });
        assertEqual(await y.data(), Float32Array.of(2 ** -6, -4, 2 ** 14));
        setGradient(parameter, [2 ** -6, -4, 2 ** 14]);
        const optimizer = new SGD([parameter], { lr: 1, masterCopies: true });
        for (const last of [2 ** 14, infinity]) {
          setGradient(parameter, [2 ** -6, -4, last]);
          const encoder = device.createCommandEncoder();
          const pass = encoder.beginComputePass();
          scaler.step(optimizer, { pass });
          scaler.update({ pass });
          pass.end();
          device.queue.submit([encoder.finish()]);
        }
        assertEqual(await parameter.data.data(), Float32Array.of(-(2 ** -20), 2 ** -12, -1));
        assertEqual(await scaler.getScale(), 2 ** 13);
        for (const one of [scaler, optimizer, parameter, dy, y]) one.destroy();
      },
    }),
  ),
  {
    name: "clipping and scaling: PyTorch's error conditions, before anything changes",
    async run({ gpu }) {
      const [parameter] = withGradients(gpu, [[1, 2]]) as [Parameter];
      const optimizer = new SGD([parameter], { lr: 1 });
      const scaler = new GradScaler(gpu);
      const refuses = (run: () => unknown, message: RegExp, code = 'value') =>
        assertThrows(run, { code, message });
      const any = (value: unknown) => value as never;
      await refuses(() => clipGradNorm([], 1), /no parameters/);
      await refuses(() => clipGradNorm(any(5), 1), /no list/);
      await refuses(() => clipGradNorm([any(parameter.data)], 1), /no Parameter/);
      await refuses(() => clipGradNorm([parameter], -1), /maxNorm is -1/);
      await refuses(() => clipGradNorm([parameter], any('1')), /maxNorm is 1/);
      await refuses(() => clipGradNorm([parameter], 1, { normType: 3 }), /no norm 3/, 'unsupported');
      await refuses(
        () => clipGradNorm([parameter], 1, any({ errorIfNonfinite: true })),
        /read it back/,
        'unsupported',
      );
      await refuses(() => clipGradNorm([parameter], 1, any({ norm: 2 })), /no option 'norm'/);
      await refuses(() => clipGradValue([parameter], nan), /clipValue is NaN/);
      await refuses(() => new GradScaler(gpu, { initScale: 0 }), /initScale is 0/);
      await refuses(() => new GradScaler(gpu, { growthFactor: 1 }), /growthFactor is 1/);
      await refuses(() => new GradScaler(gpu, { backoffFactor: 1 }), /backoffFactor is 1/);
      await refuses(() => new GradScaler(gpu, { growthInterval: 0 }), /growthInterval is 0/);
      await refuses(() => scaler.step(any(parameter)), /no Optimizer/);
      await refuses(() => scaler.scale(any(5)), /no Tensor/);
      await refuses(() => scaler.setScale(infinity), /scale is Infinity/);
      await refuses(() => scaler.loadStateDict({}), /lacks scale/, 'state');
      const good = await scaler.stateDict();
      await refuses(() => scaler.loadStateDict({ ...good, growth_factor: 0.5 }), /growthFactor is 0.5/);
      assertSame(await scaler.stateDict(), good, 'unchanged');
      assertEqual(await (parameter.grad as Tensor).data(), Float32Array.of(1, 2), 'unchanged');
      scaler.unscale(optimizer);
      await refuses(() => scaler.unscale(optimizer), /unscaled since the last update/, 'order');
      scaler.step(optimizer);
      await refuses(() => scaler.step(optimizer), /stepped since the last update/, 'order');
      await refuses(() => scaler.unscale(optimizer), /stepped since the last update/, 'order');
      scaler.update();
      scaler.step(optimizer);
      const off = new GradScaler(gpu, { enabled: false });
      assert(off.scale(parameter.data) === parameter.data && !off.isEnabled, 'not enabled');
      assertEqual(await off.getScale(), 1);
      assertSame(await off.stateDict(), {});
      for (let i = 0; i < 2; i++) off.step(optimizer);
      off.update();
      off.destroy();
      scaler.destroy();
      await refuses(() => scaler.update(), /destroyed/, 'destroyed');
      optimizer.destroy();
      parameter.destroy();
    },
  },
];
