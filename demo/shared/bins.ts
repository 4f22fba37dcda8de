export interface Bins {
  low: number;
  high: number;
  count: number;
}

/** Where each bin starts. */
export const edgesOf = ({ low, high, count }: Bins): Float64Array<ArrayBuffer> =>
  Float64Array.from({ length: count }, (_, i) => low + (i * (high - low)) / count);

/**
 * Percent of the values, less `shift`, at each bin; those beyond the ends count for the last ones. A value counts for the
 * two bins whose middles it lies between, the nearer one more: 8-bit pixels would otherwise beat against the bins.
 */
export function shares(
  values: Float32Array,
  { low, high, count }: Bins,
  shift = 0,
): Float64Array<ArrayBuffer> {
  const found = new Float64Array(count);
  const scale = count / (high - low);
  const share = 100 / values.length;
  const last = count - 1;
  for (let i = 0; i < values.length; i++) {
    const place = Math.min(last, Math.max(0, ((values[i] as number) - shift - low) * scale - 0.5));
    if (Number.isNaN(place)) continue;
    const bin = Math.floor(place);
    const next = Math.min(last, bin + 1);
    const part = place - bin;
    found[bin] = (found[bin] as number) + share * (1 - part);
    found[next] = (found[next] as number) + share * part;
  }
  return found;
}
