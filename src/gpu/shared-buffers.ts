import { BufferUsage } from './constants.ts';
import { alignUp, scratchSize } from './program.ts';

const uniformCapacity = 1024;

/** Makes buffers; `forget` is called if there turns out to be no memory for one. */
interface BufferMaker {
  createBuffer(descriptor: GPUBufferDescriptor, forget?: () => void): GPUBuffer;
}

/**
 * The small buffers that all dispatches of a context share: numbers and scratch.
 *
 * Nothing is destroyed before destroy(): a pass that is recorded but not yet submitted may refer to it. Numbers that
 * have not been used for long are let go of, so that those which change all the time, such as BatchNorm's momentum where
 * that is scheduled, do not add up: what is recorded keeps its buffer alive, and no one else does.
 */
export class SharedBuffers {
  readonly #device: GPUDevice;
  readonly #maker: BufferMaker;
  readonly #uniforms = new Map<string, GPUBuffer>();
  readonly #scratch = new Map<string, GPUBuffer>();
  readonly #retired: GPUBuffer[] = [];

  constructor(device: GPUDevice, maker: BufferMaker) {
    this.#device = device;
    this.#maker = maker;
  }

  /** Bytes of scratch, that which was outgrown included. */
  get scratchBytes(): number {
    return [...this.#scratch.values(), ...this.#retired].reduce((bytes, { size }) => bytes + size, 0);
  }

  /**
   * A uniform buffer with these contents. It is never written again, so that recording needs no writeBuffer whose order
   * against the caller's submits could go wrong.
   */
  uniform(contents: ArrayBuffer): GPUBuffer {
    const key = String.fromCharCode(...new Uint16Array(contents));
    const known = this.#uniforms.get(key);
    if (known) {
      this.#uniforms.delete(key); // to the end: the least recently used goes first
      this.#uniforms.set(key, known);
      return known;
    }
    if (this.#uniforms.size >= uniformCapacity) {
      this.#uniforms.delete(this.#uniforms.keys().next().value as string);
    }
    const buffer = this.#device.createBuffer({
      label: 'params',
      size: contents.byteLength,
      usage: BufferUsage.UNIFORM,
      mappedAtCreation: true,
    });
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(contents));
    buffer.unmap();
    this.#uniforms.set(key, buffer);
    return buffer;
  }

  /**
   * Scratch of a role. Every operation writes it before reading it, so operations share it, in whatever order their
   * encoders are submitted. Doubling bounds what outgrown ones add up to.
   */
  scratch(role: string, bytes: number): GPUBuffer {
    const known = this.#scratch.get(role);
    if (known && known.size >= bytes) return known;
    if (known) this.#retired.push(known);
    const wanted = scratchSize(Math.max(bytes, 2 * (known?.size ?? 0)));
    // Neither doubling nor rounding up goes beyond what a buffer may have, which need be no round number.
    const size = Math.max(alignUp(bytes, 4), Math.min(wanted, this.#device.limits.maxBufferSize));
    const buffer = this.#maker.createBuffer(
      { label: `scratch ${role}`, size, usage: BufferUsage.STORAGE },
      () => {
        if (this.#scratch.get(role) === buffer) this.#scratch.delete(role); // the next call tries again
      },
    );
    this.#scratch.set(role, buffer);
    return buffer;
  }

  destroy(): void {
    for (const map of [this.#uniforms, this.#scratch]) {
      for (const buffer of map.values()) buffer.destroy();
      map.clear();
    }
    for (const buffer of this.#retired) buffer.destroy();
    this.#retired.length = 0;
  }
}
