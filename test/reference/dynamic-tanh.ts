import { Sums } from './sums.ts';

/** x and dy are [rows, cols]; weight and bias [cols]. */
export interface TanhInputs {
  x: ArrayLike<number>;
  dy: ArrayLike<number>;
  cols: number;
  alpha: number;
  weight?: ArrayLike<number> | undefined;
  bias?: ArrayLike<number> | undefined;
}

export interface TanhReference {
  y: Float64Array;
  dx: Float64Array;
  dalpha: Float64Array;
  dweight: Float64Array;
  dbias: Float64Array;
  /** The sizes of the terms that each is a sum of. */
  scale: Record<'y' | 'dx' | 'dalpha' | 'dweight' | 'dbias', Float64Array>;
}

/**
 * DyT (Zhu et al. 2025, arXiv 2503.10622) and its gradients in float64, with t = tanh(alpha·x), g = dy·weight:
 * y = t·weight + bias, dx = alpha·g·(1 − t²), dalpha = Σ x·g·(1 − t²), dweight = Σ dy·t, dbias = Σ dy.
 */
export function tanhReference({ x, dy, cols, alpha, weight, bias }: TanhInputs): TanhReference {
  const of = (values: ArrayLike<number> | undefined, i: number, otherwise: number) =>
    values ? (values[i % cols] as number) : otherwise;
  const y = new Float64Array(x.length);
  const dx = new Float64Array(x.length);
  const sums = { dalpha: new Sums(1), dweight: new Sums(cols), dbias: new Sums(cols) };
  const sizes = { dalpha: new Sums(1), dweight: new Sums(cols), dbias: new Sums(cols) };
  for (let i = 0; i < x.length; i++) {
    const [value, up] = [x[i] as number, dy[i] as number];
    const t = Math.tanh(alpha * value);
    const slope = 1 / Math.cosh(alpha * value) ** 2;
    const g = up * of(weight, i, 1);
    y[i] = t * of(weight, i, 1) + of(bias, i, 0);
    dx[i] = alpha * g * slope;
    const terms = { dalpha: value * g * slope, dweight: up * t, dbias: up };
    for (const name of ['dalpha', 'dweight', 'dbias'] as const) {
      const at = name === 'dalpha' ? 0 : i % cols;
      sums[name].add(at, terms[name]);
      sizes[name].add(at, Math.abs(terms[name]));
    }
  }
  return {
    y,
    dx,
    dalpha: sums.dalpha.values(),
    dweight: sums.dweight.values(),
    dbias: sums.dbias.values(),
    scale: {
      y,
      dx,
      dalpha: sizes.dalpha.values(),
      dweight: sizes.dweight.values(),
      dbias: sizes.dbias.values(),
    },
  };
}
