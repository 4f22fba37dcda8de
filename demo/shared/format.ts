const integers = new Intl.NumberFormat('en');

export const count = (value: number): string => integers.format(value);

/** 0.0312, 17.4, 1e-5, 2.3e7: three digits, exponents where they are shorter. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    return value.toExponential(2).replace(/\.?0*e\+?/, 'e');
  }
  return String(Number(value.toPrecision(3)));
}

/** Errors: two digits, and an exponent if small. */
export function error(value: number): string {
  if (!Number.isFinite(value)) return 'not finite';
  return value === 0 || value >= 0.01 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
}

export function duration(milliseconds: number): string {
  if (milliseconds >= 1000) return `${short(milliseconds / 1000)} s`;
  return milliseconds >= 1 ? `${short(milliseconds)} ms` : `${short(milliseconds * 1000)} µs`;
}
