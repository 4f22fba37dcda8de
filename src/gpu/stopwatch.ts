import { BufferUsage, MapMode } from './constants.ts';

/** Firefox looks for finished work every 100 ms, or when something is submitted. */
const needsNudges = globalThis.navigator?.userAgent?.includes('Firefox') ?? false;

/**
 * Times recorded work: by the device's timestamps as long as they can be believed, else from the start of recording until
 * the device is done.
 */
export class Stopwatch {
  readonly #device: GPUDevice;
  #wall = 0;
  #stamps: { set: GPUQuerySet; resolved: GPUBuffer; read: GPUBuffer } | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    if (!device.features.has('timestamp-query')) return;
    const buffer = (usage: number) => device.createBuffer({ label: 'timestamps', size: 16, usage });
    this.#stamps = {
      set: device.createQuerySet({ label: 'timestamps', type: 'timestamp', count: 2 }),
      resolved: buffer(BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC),
      read: buffer(BufferUsage.COPY_DST | BufferUsage.MAP_READ),
    };
  }

  /** Whether times are the device's own. */
  get stamped(): boolean {
    return this.#stamps !== undefined;
  }

  /** Milliseconds of `times` runs in one pass, one submit. */
  async time(record: (pass: GPUComputePassEncoder) => void, times: number): Promise<number> {
    const stamps = this.#stamps;
    const began = performance.now();
    const encoder = this.#device.createCommandEncoder({ label: 'stopwatch' });
    const pass = encoder.beginComputePass(
      stamps
        ? {
            timestampWrites: {
              querySet: stamps.set,
              beginningOfPassWriteIndex: 0,
              endOfPassWriteIndex: 1,
            },
          }
        : {},
    );
    for (let i = 0; i < times; i++) record(pass);
    pass.end();
    if (stamps) {
      encoder.resolveQuerySet(stamps.set, 0, 2, stamps.resolved, 0);
      encoder.copyBufferToBuffer(stamps.resolved, 0, stamps.read, 0, 16);
    }
    this.#device.queue.submit([encoder.finish()]);
    await this.#finished();
    const wall = performance.now() - began;
    if (!stamps) return wall;
    await stamps.read.mapAsync(MapMode.READ);
    const [begin = 0n, end = 0n] = new BigUint64Array(stamps.read.getMappedRange().slice(0));
    stamps.read.unmap();
    const stamped = Number(end - begin) / 1e6;
    this.#wall = wall;
    if (stamped > 0 && stamped <= wall) return stamped;
    this.destroy();
    return wall;
  }

  /** Believes the device's timestamps only if work that has run before, as long as a sample, fills them as the wall clock. */
  async prove(record: (pass: GPUComputePassEncoder) => void, times: number): Promise<void> {
    const ms = await this.time(record, times);
    // Some count the recording, or nothing.
    if (this.#stamps && ms < this.#wall / 2) this.destroy();
  }

  async #finished(): Promise<void> {
    const { queue } = this.#device;
    const nudge = needsNudges ? setInterval(() => queue.submit([]), 1) : undefined;
    try {
      await queue.onSubmittedWorkDone();
    } finally {
      clearInterval(nudge);
    }
  }

  /** Frees what it holds. Times are the wall clock's from then on. */
  destroy(): void {
    this.#stamps?.set.destroy();
    this.#stamps?.resolved.destroy();
    this.#stamps?.read.destroy();
    this.#stamps = undefined;
  }
}
