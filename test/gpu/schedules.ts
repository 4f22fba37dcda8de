/** Schedules of the learning rate: against PyTorch, state dictionaries, errors, and with an optimizer that steps. */

import type { Parameter } from '../../src/index.ts';
import * as optim from '../../src/optim/index.ts';
import { assert, assertEqual, assertSame, assertThrows } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { decode } from '../support/golden.ts';
import { type ScheduleCase, type ScheduleFile, scheduleOf, stepOf } from '../support/golden-schedules.ts';
import { parameterOf, setGradient } from '../support/optimizers.ts';

type Group = optim.ParamGroup<{ lr: number; momentum?: number; betas?: readonly [number, number] }>;

/** An optimizer as the case has it, over parameters of one element. */
function start({ gpu }: Context, { optimizer, rates }: Pick<ScheduleCase, 'optimizer' | 'rates'>) {
  const params = rates.map(() => parameterOf(gpu, [0], [1]));
  const groups = rates.map((lr, i) => ({ params: [params[i] as Parameter], lr }));
  const made = optimizer === 'SGD' ? new optim.SGD(groups, { momentum: 0.5 }) : new optim.AdamW(groups);
  const end = () => {
    made.destroy();
    for (const parameter of params) parameter.destroy();
  };
  return { optimizer: made as optim.Scheduled, params, end };
}

const ratesOf = ({ paramGroups }: optim.Scheduled) => paramGroups.map(({ lr }) => lr);
const momentaOf = ({ paramGroups }: optim.Scheduled) =>
  (paramGroups as Group[]).map(({ momentum, betas }) => betas?.[0] ?? (momentum as number));

/** The largest difference of the schedule to PyTorch's, relative to the largest rate. It goes on in another one half way. */
function follow(t: Context, golden: ScheduleCase): number {
  let { optimizer, end } = start(t, golden);
  let schedule = scheduleOf(optimizer, golden.schedule);
  const expected = [golden.lrs, golden.momenta].map((tensor) => tensor && decode(tensor));
  const sizes = expected.map((values) => Math.max(...(values ?? [0]).map(Math.abs)));
  const steps = (golden.lrs.shape[0] as number) - 1;
  let worst = 0;
  for (let step = 0; step <= steps; step++) {
    if (step > 0) (schedule.step as (...given: number[]) => void)(...stepOf(golden, step - 1));
    if (step === 77) {
      const dicts = JSON.parse(JSON.stringify([optimizer.stateDict().param_groups, schedule.stateDict()]));
      end();
      ({ optimizer, end } = start(t, { ...golden, rates: golden.rates.map((lr) => 2 * lr) }));
      schedule = scheduleOf(optimizer, golden.schedule);
      optimizer.loadStateDict({ state: {}, param_groups: dicts[0] });
      schedule.loadStateDict(dicts[1]);
    }
    const taken = [ratesOf(optimizer), momentaOf(optimizer)];
    if (step > 0) assertEqual(schedule.getLastLr(), taken[0], `${golden.name}: getLastLr()`);
    for (const [i, values] of expected.entries()) {
      if (!values) continue;
      taken[i]?.forEach((value, group) => {
        const error = Math.abs(value - (values[2 * step + group] as number)) / (sizes[i] as number);
        worst = Math.max(worst, error);
        assert(
          error < 1e-12,
          `${golden.name}, step ${step}, group ${group}: off by ${error.toExponential(2)}`,
        );
      });
    }
  }
  end();
  return worst;
}

export const cases: Case[] = [
  {
    name: "schedules: PyTorch's rates and momenta over 200 steps, through a state dictionary",
    async run(t) {
      const { cases: all } = (await t.readJson('golden/schedules.json')) as ScheduleFile;
      const worst = Math.max(...all.map((golden) => follow(t, golden)));
      assert(all.length > 30, `${all.length} schedules`);
      t.note(`${all.length} schedules`, `largest difference ${worst.toExponential(2)} of the largest rate`);
    },
  },
  {
    name: 'schedules: the optimizer steps at the rates, and a dictionary of it keeps them',
    async run(t) {
      const { optimizer, params, end } = start(t, { optimizer: 'SGD', rates: [0.5, 0.25] });
      for (const parameter of params) setGradient(parameter, [-1]);
      (optimizer.paramGroups as Group[]).forEach((group) => {
        group.momentum = 0;
      });
      const schedule = new optim.StepLR(optimizer, 2, { gamma: 0.5 });
      for (let step = 0; step < 5; step++) {
        optimizer.step();
        schedule.step();
      }
      assertEqual(
        await params[0]?.data.data(),
        Float32Array.of(0.5 + 0.5 + 0.25 + 0.25 + 0.125),
        'sum of rates',
      );
      assertEqual(schedule.lastEpoch, 5);
      assertEqual(optimizer.stateDict().param_groups[1]?.initial_lr, 0.25);
      // Names and values as in PyTorch's dictionary.
      assertSame(schedule.stateDict(), {
        step_size: 2,
        gamma: 0.5,
        base_lrs: [0.5, 0.25],
        last_epoch: 5,
        _step_count: 6,
        _last_lr: [0.125, 0.0625],
      });
      const restarts = new optim.CosineAnnealingWarmRestarts(optimizer, 7, { tMult: 2 });
      restarts.step(12.5);
      const { T_0, T_mult, T_i, T_cur, eta_min, last_epoch } = restarts.stateDict();
      assertEqual([T_0, T_mult, T_i, T_cur, eta_min, last_epoch], [7, 2, 14, 5.5, 0, 12]);
      // Going on from a step, as after a restart of the program.
      const late = new optim.ExponentialLR(optimizer, 0.5, { lastEpoch: 5 });
      assertEqual(late.lastEpoch, 6);
      assertEqual(late.baseLrs, [0.5, 0.25]);
      end();
    },
  },
  {
    name: "schedules: PyTorch's error conditions, before anything changes",
    async run(t) {
      const { optimizer, end } = start(t, { optimizer: 'SGD', rates: [0.5, 0.25] });
      const other = start(t, { optimizer: 'AdamW', rates: [0.5] });
      const groups = () =>
        JSON.stringify(optimizer.paramGroups.map(({ params: _, ...settings }) => settings));
      const before = groups();
      const refuses = (run: () => unknown, message: RegExp, code = 'value') =>
        assertThrows(run, { code, message });
      const any = optim as unknown as Record<string, new (...args: unknown[]) => optim.Schedule>;
      for (const [kind, args, message] of [
        ['StepLR', [0], /stepSize is 0/],
        ['StepLR', [2, { gamma: Number.NaN }], /gamma is NaN/],
        ['StepLR', [2, { gama: 0.1 }], /Did you mean 'gamma'/],
        ['StepLR', [2, { lastEpoch: 3 }], /group 0 of the optimizer has no initialLr/],
        ['StepLR', [2, { lastEpoch: -2 }], /lastEpoch is -2/],
        ['MultiStepLR', [[1, -2]], /milestones/],
        ['MultiStepLR', [5], /no list/],
        ['ConstantLR', [{ factor: 1.5 }], /factor is 1.5/],
        ['ConstantLR', [{ factor: 0 }], /factor is 0/],
        ['LinearLR', [{ startFactor: 0 }], /startFactor is 0/],
        ['LinearLR', [{ endFactor: 1.5 }], /endFactor is 1.5/],
        ['ExponentialLR', [], /gamma is undefined/],
        ['PolynomialLR', [{ totalIters: 0 }], /totalIters is 0/],
        ['LambdaLR', [[() => 1]], /1 functions for 2/],
        ['LambdaLR', [[1, 2]], /for a function/],
        ['LambdaLR', [() => Number.NaN], /learning rate of step 0 is NaN/],
        ['CosineAnnealingLR', [0], /tMax is 0/],
        ['CosineAnnealingWarmRestarts', [10, { tMult: 0.5 }], /tMult is 0.5/],
        ['OneCycleLR', [0.1], /not given/],
        ['OneCycleLR', [0.1, { epochs: 3 }], /not given/],
        ['OneCycleLR', [0.1, { totalSteps: 0 }], /totalSteps is 0/],
        ['OneCycleLR', [0.1, { totalSteps: 5, pctStart: 2 }], /pctStart is 2/],
        ['OneCycleLR', [0.1, { totalSteps: 5, annealStrategy: 'exp' }], /annealStrategy is exp/],
        ['OneCycleLR', [[0.1], { totalSteps: 5 }], /1 values; the optimizer has 2/],
        ['ReduceLROnPlateau', [{ factor: 1 }], /factor is 1/],
        ['ReduceLROnPlateau', [{ mode: 'mean' }], /mode is mean/],
        ['ReduceLROnPlateau', [{ minLr: [0, 0, 0] }], /3 values/],
        ['SWALR', [[1, 2, 3]], /3 values/],
        ['SWALR', [0.1, { annealEpochs: -1 }], /annealEpochs is -1/],
        ['SWALR', [0.1, { annealStrategy: 'exp' }], /annealStrategy is exp/],
      ] as [string, unknown[], RegExp][]) {
        const made = any[kind] as new (...args: unknown[]) => optim.Schedule;
        await refuses(() => new made(optimizer, ...args), message);
        await refuses(
          () => new made({ paramGroups: [] }, ...args),
          /no Optimizer|Pass|Use|Did|not given|no list/,
        );
      }
      const changed = groups().replaceAll(',"initialLr":0.5', '').replaceAll(',"initialLr":0.25', '');
      assertEqual(changed, before, 'settings of the groups');
      const [step, plateau] = [new optim.StepLR(optimizer, 3), new optim.ReduceLROnPlateau(optimizer)];
      const foreign = new optim.StepLR(other.optimizer, 3);
      const sequence = (schedules: unknown[], milestones: unknown) =>
        new optim.SequentialLR(optimizer, schedules as optim.LRScheduler[], milestones as number[]);
      const chain = (schedules: unknown[]) => new optim.ChainedScheduler(schedules as optim.Schedule[]);
      await refuses(() => sequence([step, step], []), /2 schedules and the milestones/);
      await refuses(() => sequence([step, step, step], [5, 3]), /ascending/);
      await refuses(() => sequence([step, foreign], [3]), /schedule 1 is of another optimizer/);
      await refuses(() => sequence([step, plateau], [3]), /schedule 1 is ReduceLROnPlateau/);
      await refuses(() => sequence([step, chain([step])], [3]), /schedule 1 is ChainedScheduler/);
      await refuses(() => chain([]), /no schedules/);
      await refuses(() => chain([step, foreign]), /another optimizer/);
      await refuses(() => chain([step, plateau]), /schedule 1 is ReduceLROnPlateau/);
      await refuses(() => plateau.step('0.5' as unknown as number), /no number/);
      const restarts = new optim.CosineAnnealingWarmRestarts(optimizer, 7);
      await refuses(() => restarts.step(-1), /epoch is -1/);
      const cycle = new optim.OneCycleLR(other.optimizer, 0.1, { totalSteps: 3 });
      for (let i = 0; i < 3; i++) cycle.step();
      await refuses(() => cycle.step(), /step 4, and the cycle has 3/, 'order');
      assertEqual(cycle.lastEpoch, 3);
      const saved = step.stateDict();
      await refuses(
        () => step.loadStateDict(5 as unknown as optim.ScheduleStateDict),
        /no dictionary/,
        'state',
      );
      await refuses(() => step.loadStateDict({ ...saved, gamma: 'x' }), /gamma is x/, 'state');
      await refuses(() => step.loadStateDict({ ...saved, base_lrs: [1] }), /1 parameter groups/, 'state');
      await refuses(() => step.loadStateDict({ ...saved, step_size: 0 }), /stepSize is 0/);
      assertSame(step.stateDict(), saved, 'unchanged');
      const none = new optim.SGD([parameterOf(t.gpu, [0], [1])]);
      none.paramGroups[0]?.params[0]?.destroy();
      none.destroy();
      await refuses(() => new optim.StepLR(none, 3), /destroyed/, 'destroyed');
      end();
      other.end();
    },
  },
];
