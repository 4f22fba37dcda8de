// What the GPU and the float64 reference say, drawn and written.

import { setCount, setSize } from '../../../test/reference/index.ts';
import { canvas, get, write } from '../../shared/dom.ts';
import { count, duration, error as errorText, short } from '../../shared/format.ts';
import { bandwidth, type Outcome, type Timing } from './engine.ts';
import { type Histogram, mountHistogram } from './histogram.ts';
import { type Diverging, drawCopy, drawSigned, drawValues, white } from './image.ts';
import type { Answer } from './judge.worker.ts';
import { explain } from './loss.ts';
import { torchError } from './pytorch.ts';
import type { State } from './state.ts';
import { elementCount, type Task } from './task.ts';

/** What was computed for one state. */
export interface Shown {
  state: State;
  task: Task;
  x: Float32Array<ArrayBuffer>;
  outcome: Outcome;
}

const yRange = [-2.5, 2.5] as const;

function rgb(host: Element, name: string): number[] {
  const hex = getComputedStyle(host).getPropertyValue(name).trim().slice(1);
  const digits = hex.length === 3 ? [...hex].map((digit) => digit + digit) : (hex.match(/../g) ?? []);
  return digits.map((pair) => Number.parseInt(pair, 16));
}

const largest = (values: Float32Array): number => {
  let max = 0;
  for (let i = 0; i < values.length; i++) max = Math.max(max, Math.abs(values[i] as number));
  return max;
};

export class Results {
  readonly #histogram: Histogram = mountHistogram(get('histogram'), get('histogram-text'));
  /** The x that the canvases of x show. */
  #drawn: Float32Array | undefined;

  draw({ state, task, x, outcome }: Shown): void {
    const { y, rstd, dy, dx } = outcome;
    const xRange = [state.offset, state.offset + white] as const;
    for (const sample of [0, 1]) {
      if (x !== this.#drawn) drawValues(canvas(`x${sample}`), x, task, sample, xRange);
      drawValues(canvas(`y${sample}`), y, task, sample, yRange);
    }
    this.#drawn = x;
    drawCopy(canvas('ours'), canvas('y0'));

    const host = get('screen');
    const hues: Diverging = {
      negative: rgb(host, '--negative'),
      zero: rgb(host, '--zero'),
      positive: rgb(host, '--positive'),
    };
    // Rounding noise around 0 is not blown up: white is 0 on the scale of the terms that dx is the sum of.
    const terms = rstd ? Math.abs(state.weight) * largest(rstd) * largest(dy) : 0;
    const scale = Math.max(largest(dx), 0.01 * terms);
    for (const sample of [0, 1]) drawSigned(canvas(`dx${sample}`), dx, task, sample, scale, hues);
    write('dx-low', short(-scale));
    write('dx-high', short(scale));
    write('loss-text', explain(state.loss, state.norm));
    this.#histogram.show(x, y, state.offset > 20 ? state.offset : 0);
    this.#describe(state, task);
  }

  #describe(state: State, task: Task): void {
    write('shape', `[${task.shape.join(', ')}] f32, ${short((4 * elementCount(task)) / 1e6)} MB`);
    const { geometry } = task;
    write(
      'sets',
      task.kind === 'response'
        ? `none: windows of ${state.window} channels`
        : `${count(setCount(geometry))} sets of ${count(setSize(geometry))} elements`,
    );
    const torch = torchError(state);
    write(
      'torch',
      torch
        ? `For comparison, PyTorch ${torch.torch} (f32, ${torch.device}), same norm, offset ${short(torch.offset)}: ` +
            `y ${errorText(torch.y)}, dx ${errorText(torch.dx)}, medians of ${torch.runs} runs on normally distributed x of ` +
            `${torch.shapes.map((shape) => shape.join('×')).join(', ')}.`
        : '',
    );
  }

  judged({ state, task, outcome }: Shown, answer: Answer): void {
    write('relative-error', errorText(answer.relative));
    write('absolute-error', errorText(answer.absolute));
    write('gradient-error', errorText(answer.gradient));
    const { naive, variance } = answer;
    get('naive-pictures').hidden = !naive;
    get('naive-table').hidden = !naive;
    if (!naive) {
      write('naive-text', withoutMean[task.kind === 'rms' ? 'rms' : 'response']);
      return;
    }
    drawValues(canvas('naive'), naive.y, task, 0, yRange);
    const ours = (outcome.rstd?.[0] ?? 0) ** -2 - state.eps;
    write('variance-true', short(variance ?? Number.NaN));
    write('variance-ours', short(ours));
    write('variance-naive', short(naive.variance));
    write('error-ours', errorText(answer.relative));
    write('error-naive', errorText(naive.relative));
    const failed = !(naive.relative < 0.01);
    get('variance-naive').classList.toggle('failed', failed);
    get('error-naive').classList.toggle('failed', failed);
    write(
      'naive-text',
      'E[x²] and E[x]² both grow with the square of the offset, f32 has seven digits, and the variance is what the ' +
        'difference leaves. ' +
        (failed
          ? `Here it is lost${Number.isFinite(naive.relative) ? '' : ' (magenta: a negative variance has no root)'}. `
          : 'Move the offset to 1e4 and beyond to lose it. ') +
        'webgpu-norm sums (x − p) and (x − p)² about a pivot p in every chunk, and merges the chunks.',
    );
  }

  timed(task: Task, timing: Timing): void {
    const rate = bandwidth(task, timing);
    write('forward-time', `${duration(timing.forward)}, ${short(rate.forward)} GB/s`);
    write('backward-time', `${duration(timing.backward)}, ${short(rate.backward)} GB/s`);
  }

  repaint(shown: Shown | undefined): void {
    if (shown) this.draw(shown);
    this.#histogram.repaint();
  }
}

const elsewhere = 'Pick another norm to see a variance fail.';
const withoutMean = {
  rms:
    'RMSNorm divides by the mean of x², where nothing cancels: an offset does no harm to its exactness. It does harm to ' +
    `the picture, for RMSNorm does not take the offset away. ${elsewhere}`,
  response: `LocalResponseNorm has no variance, only sums of squares, where nothing cancels. ${elsewhere}`,
};
