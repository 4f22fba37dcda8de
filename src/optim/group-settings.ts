// The numbers of a parameter group on the GPU, and how they stay those of the moment in which a step is recorded.
import { BufferUsage } from '../gpu/constants.ts';
import type { RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { alignUp } from '../gpu/program.ts';
import { Tensor } from '../gpu/tensor.ts';

/** How often the numbers of recorded steps can change before there has to be another buffer. */
const placesPerBuffer = 64;

/**
 * The numbers of a parameter group, such as the learning rate, in a buffer that the kernels read. Numbers that change in every
 * step therefore make no programs, and, but for steps in an open pass, no bind groups.
 *
 * When a recorded step is submitted, or whether, nobody can tell. Each step has the numbers of its moment all the same:
 *
 * - The numbers lie in a place of a buffer. They are written on the queue, and only if they have changed. A step that is
 *   submitted at once reads them there: the queue keeps the order.
 * - A place that commands of the caller's encoder or pass read is never written again. Other numbers go to the next place,
 *   which nothing has read yet. A buffer whose places are used up is let go of: what is recorded keeps it alive.
 * - In an encoder, every step copies the numbers from their place into a tensor that is always the same, so that what the
 *   dispatches bind stays the same. The copy and its dispatches follow each other within one submit, in whatever order the
 *   encoders are submitted. In an open pass nothing can be copied: there the dispatches bind the place.
 */
export class GroupSettings {
  readonly #gpu: Gpu;
  /** The values in {@link #place}. */
  #values = new Float32Array();
  #place: Tensor | undefined;
  /** Whether commands that may be yet to be submitted read the place. */
  #recorded = false;
  /** What steps in an encoder copy the numbers into. */
  #copy: Tensor | undefined;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** A tensor that holds the numbers, which are always as many, when the commands run that are recorded next. */
  take(numbers: readonly number[], { encoder, pass }: RecordOptions): Tensor {
    const values = Float32Array.from(numbers);
    const place = this.#placeOf(values);
    this.#recorded ||= encoder !== undefined || pass !== undefined;
    if (!encoder) return place;
    this.#copy ??= this.#tensorIn(this.#makeBuffer(place.byteLength), 0, place.size);
    encoder.copyBufferToBuffer(place.buffer, place.offset, this.#copy.buffer, 0, place.byteLength);
    return this.#copy;
  }

  destroy(): void {
    this.#place?.buffer.destroy();
    this.#copy?.buffer.destroy();
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
    return new Tensor(this.#gpu, buffer, [size], 'f32', offset, false);
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
