// Pictures in and out: from a file or the camera to x, and from tensors to pixels on 2D canvases.
import { elementCount, type Size, samples, strides, type Task } from './task.ts';

/** x is the pixel value divided by this: black is 0, white is 4, and the standard deviation comes to about 1. */
const unit = 64;
export const white = 4;

/** The second sample is the first with less contrast and brighter shadows. */
const copy = { scale: 0.35, shift: 0.5 };

export type Source = HTMLImageElement | HTMLVideoElement | ImageBitmap;

/** The middle of the source, cut and scaled to fill the picture that x of this size shows. */
export function readPixels(source: Source, { height, width }: Size): ImageData {
  const [w, h] = [2 * width, 2 * height];
  const canvas = document.createElement('canvas');
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('This browser has no 2D canvas.');
  const [sourceWidth, sourceHeight] =
    source instanceof HTMLVideoElement
      ? [source.videoWidth, source.videoHeight]
      : source instanceof HTMLImageElement
        ? [source.naturalWidth, source.naturalHeight]
        : [source.width, source.height];
  const scale = Math.max(w / sourceWidth, h / sourceHeight);
  const [cutWidth, cutHeight] = [w / scale, h / scale];
  context.fillStyle = '#fff';
  context.fillRect(0, 0, w, h);
  context.imageSmoothingQuality = 'high';
  context.drawImage(
    source,
    (sourceWidth - cutWidth) / 2,
    (sourceHeight - cutHeight) / 2,
    cutWidth,
    cutHeight,
    0,
    0,
    w,
    h,
  );
  return context.getImageData(0, 0, w, h);
}

const known = new Map<string, Uint32Array>();

/** Where in a sample of x the red of each pixel lies; green and blue follow at `colourStep`. */
function redElements(task: Task): Uint32Array {
  const { layout, size } = task;
  const { height, width } = size;
  const key = `${layout} ${height} ${width}`;
  let elements = known.get(key);
  if (!elements) {
    const step = strides(task);
    elements = Uint32Array.from({ length: 4 * height * width }, (_, pixel) => {
      const [row, column] = [Math.floor(pixel / (2 * width)), pixel % (2 * width)];
      const phase = (row & 1) * 2 + (column & 1);
      return ((row >> 1) * width + (column >> 1)) * step.position + phase * step.channel;
    });
    known.set(key, elements);
  }
  return elements;
}

const colourStep = (task: Task): number => 4 * strides(task).channel;

const sampleOf = (values: Float32Array, sample: number): Float32Array =>
  values.subarray((sample * values.length) / samples, ((sample + 1) * values.length) / samples);

/** x: the picture and its copy, each plus the offset, rounded to f32 as anything is that goes to the GPU. */
export function pack({ data }: ImageData, task: Task, offset: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(elementCount(task));
  const red = redElements(task);
  const step = colourStep(task);
  for (let sample = 0; sample < samples; sample++) {
    const { scale, shift } = sample === 0 ? { scale: 1, shift: 0 } : copy;
    const part = sampleOf(x, sample);
    for (let pixel = 0; pixel < red.length; pixel++) {
      for (let colour = 0; colour < 3; colour++) {
        const value = (data[4 * pixel + colour] as number) / unit;
        part[(red[pixel] as number) + colour * step] = value * scale + shift + offset;
      }
    }
  }
  return x;
}

/** Sets dy to `value` in a disc in the upper middle of the first sample. */
export function fillPatch(dy: Float32Array, task: Task, value: number): void {
  const { height, width } = task.size;
  const radius = 0.45 * height;
  const step = colourStep(task);
  const part = sampleOf(dy, 0);
  redElements(task).forEach((red, pixel) => {
    const across = (pixel % (2 * width)) - width;
    const down = Math.floor(pixel / (2 * width)) - 0.9 * height;
    if (across ** 2 + down ** 2 < radius ** 2) {
      for (let colour = 0; colour < 3; colour++) part[red + colour * step] = value;
    }
  });
}

function draw(canvas: HTMLCanvasElement, task: Task, fill: (pixels: Uint8ClampedArray) => void): void {
  const [width, height] = [2 * task.size.width, 2 * task.size.height];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext('2d');
  if (!context) return;
  const image = context.createImageData(width, height);
  fill(image.data);
  context.putImageData(image, 0, 0);
}

/** Draws one sample, low black and high white. What is not a number is magenta. */
export function drawValues(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  task: Task,
  sample: number,
  [low, high]: readonly [number, number],
): void {
  const scale = 255 / (high - low);
  const red = redElements(task);
  const step = colourStep(task);
  const part = sampleOf(values, sample);
  draw(canvas, task, (pixels) => {
    for (let pixel = 0; pixel < red.length; pixel++) {
      for (let colour = 0; colour < 3; colour++) {
        const value = part[(red[pixel] as number) + colour * step] as number;
        // The array clamps; of NaN it makes 0.
        pixels[4 * pixel + colour] = Number.isNaN(value) && colour !== 1 ? 255 : (value - low) * scale;
      }
      pixels[4 * pixel + 3] = 255;
    }
  });
}

export interface Diverging {
  negative: readonly number[];
  zero: readonly number[];
  positive: readonly number[];
}

/** Draws one sample's mean over the colours in two hues; the strength grows with the square root. */
export function drawSigned(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  task: Task,
  sample: number,
  largest: number,
  hues: Diverging,
): void {
  const red = redElements(task);
  const step = colourStep(task);
  const part = sampleOf(values, sample);
  const [zero, negative, positive] = [hues.zero, hues.negative, hues.positive];
  draw(canvas, task, (pixels) => {
    for (let pixel = 0; pixel < red.length; pixel++) {
      const place = red[pixel] as number;
      const value =
        ((part[place] as number) + (part[place + step] as number) + (part[place + 2 * step] as number)) / 3;
      const strength = largest > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / largest)) : 0;
      const hue = value < 0 ? negative : positive;
      for (let colour = 0; colour < 3; colour++) {
        const none = zero[colour] as number;
        pixels[4 * pixel + colour] = none + ((hue[colour] as number) - none) * strength;
      }
      pixels[4 * pixel + 3] = 255;
    }
  });
}

/** Copies what is drawn on one canvas to another. */
export function drawCopy(canvas: HTMLCanvasElement, from: HTMLCanvasElement): void {
  canvas.width = from.width;
  canvas.height = from.height;
  canvas.getContext('2d')?.drawImage(from, 0, 0);
}
