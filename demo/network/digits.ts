// Digits, drawn and distorted: data to learn from that needs no download. No canvas, so that it runs in workers and in
// Node as well.
import { random } from '../../test/support/data.ts';

/** Pixels along a side. */
export const side = 16;
export const pixels = side * side;
export const classes = 10;

type Point = readonly [x: number, y: number];

/** Points along an ellipse, angles in turns, 0 to the right, growing clockwise as y grows downwards. */
function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number): Point[] {
  const count = Math.max(3, Math.ceil(14 * Math.abs(to - from)));
  return Array.from({ length: count + 1 }, (_, i) => {
    const angle = 2 * Math.PI * (from + ((to - from) * i) / count);
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  });
}

/** The strokes of each digit, in a square from 0 to 1. */
const glyphs: readonly (readonly (readonly Point[])[])[] = [
  [arc(0.5, 0.5, 0.28, 0.42, 0, 1)],
  [
    [
      [0.34, 0.26],
      [0.54, 0.08],
      [0.54, 0.92],
    ],
  ],
  [[...arc(0.5, 0.32, 0.28, 0.24, 0.53, 1.08), [0.24, 0.92], [0.8, 0.92]]],
  [[...arc(0.46, 0.29, 0.27, 0.21, 0.58, 1.25), [0.42, 0.5]], arc(0.46, 0.71, 0.31, 0.21, 0.75, 1.45)],
  [
    [
      [0.6, 0.08],
      [0.2, 0.64],
      [0.84, 0.64],
    ],
    [
      [0.64, 0.4],
      [0.64, 0.94],
    ],
  ],
  [[[0.76, 0.08], [0.3, 0.08], [0.27, 0.46], ...arc(0.46, 0.66, 0.31, 0.26, 0.67, 1.42)]],
  [
    [
      [0.68, 0.08],
      [0.38, 0.36],
      [0.25, 0.64],
    ],
    arc(0.5, 0.68, 0.26, 0.24, 0, 1),
  ],
  [
    [
      [0.2, 0.08],
      [0.8, 0.08],
      [0.42, 0.93],
    ],
  ],
  [arc(0.5, 0.28, 0.24, 0.2, 0, 1), arc(0.5, 0.7, 0.29, 0.23, 0, 1)],
  [
    arc(0.5, 0.32, 0.26, 0.24, 0, 1),
    [
      [0.76, 0.34],
      [0.7, 0.64],
      [0.52, 0.93],
    ],
  ],
];

/** Labelled pictures: [count, 256], row by row, background about 0 and ink about 1. */
export interface DigitSet {
  pixels: Float32Array<ArrayBuffer>;
  labels: Uint32Array<ArrayBuffer>;
}

/**
 * Draws digits: turned, sheared, stretched, shifted, bent, with a pen of some width, and with noise. The same for the
 * same seed; other seeds give other pictures, so one set can be learnt from and another judged by.
 */
export function drawDigits(count: number, seed: number): DigitSet {
  const next = random(seed);
  const set = { pixels: new Float32Array(count * pixels), labels: new Uint32Array(count) };
  for (let i = 0; i < count; i++) {
    const label = Math.floor(classes * next());
    set.labels[i] = label;
    drawDigit(set.pixels.subarray(i * pixels, (i + 1) * pixels), label, next);
  }
  return set;
}

function drawDigit(target: Float32Array, label: number, next: () => number): void {
  const strokes = (glyphs[label] as (typeof glyphs)[number]).map((stroke) => stroke.map(distortion(next)));
  const pen = 0.6 + 0.7 * next();
  const ink = 0.6 + 0.4 * next();
  // Normally distributed (Box and Muller).
  const noise = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const distance = Math.sqrt(
        Math.min(...strokes.map((stroke) => squaredDistance(x + 0.5, y + 0.5, stroke))),
      );
      const covered = Math.min(1, Math.max(0, pen + 0.5 - distance));
      target[y * side + x] = ink * covered + 0.15 * noise();
    }
  }
}

/** A map from the unit square to pixels. */
function distortion(next: () => number): (point: Point) => Point {
  const spread = (most: number) => most * (2 * next() - 1);
  const turn = spread(0.35);
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const shear = spread(0.35);
  const [width, height] = [side * (0.68 + spread(0.17)), side * (0.74 + spread(0.14))];
  const [left, top] = [side / 2 + spread(1.6), side / 2 + spread(1.6)];
  const [bend, phase, frequency] = [0.07 * next(), 2 * Math.PI * next(), 3 + 4 * next()];
  return ([x, y]) => {
    const u = x - 0.5 + bend * Math.sin(frequency * y + phase) + shear * (y - 0.5);
    const v = y - 0.5 + bend * Math.cos(frequency * x + phase);
    return [left + width * (cos * u - sin * v), top + height * (sin * u + cos * v)];
  };
}

/** From a point to the nearest of the segments between consecutive points. */
function squaredDistance(x: number, y: number, stroke: readonly Point[]): number {
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = 1; i < stroke.length; i++) {
    const [ax, ay] = stroke[i - 1] as Point;
    const [bx, by] = stroke[i] as Point;
    const [dx, dy] = [bx - ax, by - ay];
    const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
    const t = Math.min(1, Math.max(0, along));
    nearest = Math.min(nearest, (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2);
  }
  return nearest;
}
