// The numbers of a parameter group on the GPU, and how they stay those of the moment in which a step is recorded.
import { BufferUsage } from '../gpu/constants.ts';
import type { Call, Copy, RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { alignUp } from '../gpu/program.ts';
import { Tensor } from '../gpu/tensor.ts';
import { castProgram } from '../kernels/cast.ts';
import { remember } from '../ops/programs.ts';

/** How often the numbers of recorded steps can change before there has to be another buffer. */
const placesPerBuffer = 64;

/** The numbers where the commands that are recorded next find them. */
export interface TakenSettings {
  /** u32 words: whether to skip the step, then the numbers as f32. */
  tensor: Tensor;
  /** To be recorded before those commands. */
  calls: Call[];
  copies: Copy[];
}

/**
 * The numbers of a parameter group, such as the learning rate, in a buffer that the kernels read. Numbers that change in every
 * step therefore make no programs and no bind groups of the dispatches that read them.
 *
 * When a recorded step is submitted, or whether, nobody can tell. Each step has the numbers of its moment all the same:
 *
 * - The numbers lie in a place of a buffer. They are written on the queue, and only if they have changed. A step that is
 *   submitted at once reads them there: the queue keeps the order.
 * - A place that commands of the caller's encoder or pass read is never written again. Other numbers go to the next place,
 *   which nothing has read yet. A buffer whose places are used up is let go of: what is recorded keeps it alive.
 * - Every recorded step copies the numbers from their place into a tensor that is always the same, so that what its
 *   dispatches bind stays the same. The copy and the dispatches follow each other within one submit, in whatever order the
 *   encoders are submitted. In an encoder it is a command; in an open pass, which can only compute, it is a dispatch.
 *   So does a step that the GPU may decide to skip: its first word comes from elsewhere.
 */
export class GroupSettings {
  readonly #gpu: Gpu;
  /** The values in {@link #place}. */
  #values = new Float32Array();
  #place: Tensor | undefined;
  /** Whether commands that may be yet to be submitted read the place. */
  #recorded = false;
  /** What recorded steps copy the numbers into, and its first word. */
  #copy: { whole: Tensor; skip: Tensor } | undefined;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * A tensor that holds the numbers when the commands that are recorded next run, and what has to be recorded before those.
   *
   * @param numbers - as many as in every call before.
   * @param skip - u32 [1]: the GPU's decision, 1 to skip the step. Without it, the step is not skipped.
   */
  take(numbers: readonly number[], { encoder, pass }: RecordOptions, skip?: Tensor): TakenSettings {
    const place = this.#placeOf(Float32Array.of(0, ...numbers));
    if (!encoder && !pass && !skip) return { tensor: place, calls: [], copies: [] };
    if (encoder || pass) this.#recorded = true;
    if (!this.#copy) {
      const whole = this.#tensorIn(this.#makeBuffer(place.byteLength), 0, place.size);
      this.#copy = { whole, skip: whole.view([1]) };
    }
    const { whole } = this.#copy;
    const copies = [{ from: place, to: whole }, ...(skip ? [{ from: skip, to: this.#copy.skip }] : [])];
    if (!pass) return { tensor: whole, calls: [], copies };
    return { tensor: whole, calls: copies.map((copy) => this.#copying(copy)), copies: [] };
  }

  destroy(): void {
    this.#place?.buffer.destroy();
    this.#copy?.whole.buffer.destroy();
  }

  /** Copies words, so that no bit changes. */
  #copying({ from, to }: Copy): Call {
    const d = { size: from.size, dtype: 'u32', to: 'u32' } as const;
    const make = () => castProgram(d.size, d.dtype, d.to, this.#gpu.facts);
    return { program: remember(this.#gpu, 'cast', d, make), operands: { x: from, y: to } };
  }

  /** The place that holds the values from now on. */
  #placeOf(values: Float32Array<ArrayBuffer>): Tensor {
    const known = this.#place;
    if (known && values.every((value, i) => Object.is(value, this.#values[i]))) return known;
    const place = known && !this.#recorded ? known : this.#nextPlace(values.length);
    place.upload(values);
    this.#place = place;
    this.#values = values;
    return place;
  }

  /** A place that nothing has read yet. */
  #nextPlace(size: number): Tensor {
    this.#recorded = false;
    const bytes = alignUp(4 * size, this.#gpu.facts.offsetAlignment);
    const last = this.#place;
    if (last && last.offset + bytes < last.buffer.size) {
      return this.#tensorIn(last.buffer, last.offset + bytes, size);
    }
    return this.#tensorIn(this.#makeBuffer(placesPerBuffer * bytes), 0, size);
  }

  #tensorIn(buffer: GPUBuffer, offset: number, size: number): Tensor {
    return new Tensor(this.#gpu, buffer, [size], 'u32', offset, false);
  }

  #makeBuffer(size: number): GPUBuffer {
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    // If there turns out to be no memory for it, the next step tries again.
    return this.#gpu.faults.createBuffer({ label: 'optimizer settings', size, usage }, () => {
      this.#place = undefined;
      this.#copy = undefined;
    });
  }
}
