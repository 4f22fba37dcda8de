/** A row of the bench as autotune sees it. */
import { type Autotuned, type AutotuneOptions, autotune } from '../src/autotune/index.ts';
import { type Gpu, init } from '../src/index.ts';
import type { Row } from './rows.ts';

/** What autotune made of one pass of a row. */
export interface TunedPass extends Autotuned {
  pass: 'forward' | 'backward';
  /** Milliseconds of the default and of the choice; null where the choice was known before. */
  defaultMs: number | null;
  chosenMs: number | null;
}

export type TuneOptions = Pick<AutotuneOptions, 'rounds' | 'signal' | 'onProgress' | 'storage'>;

/** Tunes the row's passes, on a context of their own: what the bench measures stays the default. */
export async function tune(gpu: Gpu, row: Row, options: TuneOptions): Promise<TunedPass[]> {
  const { op, shape, layout, dtype, groups, training, relu } = row;
  const own = await init({ device: gpu.device });
  try {
    const passes: TunedPass[] = [];
    for (const pass of row.pass.split('+') as TunedPass['pass'][]) {
      const tuned = await autotune(own, op, shape, {
        ...options,
        pass,
        layout,
        dtype,
        paramDtype: 'f32',
        numGroups: groups,
        training,
        normalizedShape: shape.slice(1),
        activation: relu ? 'relu' : undefined,
      });
      const { candidates, chosen } = tuned;
      const first = candidates.find(({ name }) => name === 'default');
      const winner = chosen && candidates.find(({ schedule }) => schedule === chosen);
      passes.push({
        ...tuned,
        pass,
        defaultMs: first?.ms ?? null,
        chosenMs: (winner ?? first)?.ms ?? null,
      });
    }
    return passes;
  } finally {
    own.destroy();
  }
}
