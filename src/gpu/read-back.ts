import { BufferUsage, MapMode } from './constants.ts';
import { NormError } from './errors.ts';
import { type Faults, validationError } from './faults.ts';
import { alignUp } from './program.ts';
import { scoped } from './scoped.ts';
import type { Tensor } from './tensor.ts';
import type { Watch } from './watch.ts';

/** The most bytes of one staging buffer: far below every device's maxBufferSize, and quick to find room for. */
const pieceBytes = 2 ** 24;

/** Bytes of a tensor that are copied into a staging buffer. */
interface Span {
  tensor: number;
  /** Where they begin in the tensor, and in the staging buffer. */
  from: number;
  at: number;
  bytes: number;
}

/** A staging buffer, what goes into it, and what WebGPU says of it. */
interface Piece {
  buffer: GPUBuffer;
  spans: readonly Span[];
  missing: Promise<GPUError | null>;
}

/** Cuts tensors of so many bytes, laid one after the other, into pieces. */
function spansOf(lengths: readonly number[]): Span[][] {
  const pieces: Span[][] = [];
  let at = pieceBytes;
  lengths.forEach((length, tensor) => {
    for (let from = 0; from < length; ) {
      if (at >= pieceBytes) {
        pieces.push([]);
        at = 0;
      }
      const bytes = Math.min(length - from, pieceBytes - at);
      pieces.at(-1)?.push({ tensor, from, at, bytes });
      from += bytes;
      at += alignUp(bytes, 4);
    }
  });
  return pieces;
}

/**
 * The bytes of all tensors, as they are now: everything is copied by one submit, before anything is waited for.
 *
 * @throws NormError `out-of-memory`, `device-lost`, `validation`, or what is wrong with a tensor.
 */
export async function readBack(
  device: GPUDevice,
  tensors: readonly Tensor[],
  faults: Faults,
  watch: Watch,
): Promise<ArrayBuffer[]> {
  const lengths = tensors.map(({ byteLength }) => byteLength);
  const results = hostBytes(() => lengths.map((length) => new ArrayBuffer(length)));
  const pieces: Piece[] = [];
  try {
    for (const spans of spansOf(lengths)) {
      const last = spans.at(-1) as Span;
      const [buffer, missing] = scoped(device, 'out-of-memory', () =>
        device.createBuffer({
          label: 'read-back',
          size: alignUp(last.at + last.bytes, 4),
          usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
        }),
      );
      pieces.push({ buffer, spans, missing });
    }
    if (pieces.length === 0) return results;
    // The mapping too: where a buffer has no memory, it is refused as well as rejected.
    const [mapped, refused] = scoped(device, 'validation', () => {
      const encoder = device.createCommandEncoder({ label: 'read-back' });
      for (const { buffer: staging, spans } of pieces) {
        for (const { tensor, from, at, bytes } of spans) {
          const { buffer, offset } = tensors[tensor] as Tensor;
          encoder.copyBufferToBuffer(buffer, offset + from, staging, at, alignUp(bytes, 4));
        }
      }
      device.queue.submit([encoder.finish({ label: 'read-back' })]);
      return Promise.all(pieces.map(({ buffer }) => buffer.mapAsync(MapMode.READ)));
    });
    const ready = watch.orLost(mapped, unmapped);
    ready.catch(() => {}); // what is found before it says more
    const said = Promise.all([...pieces.map(({ missing }) => missing), refused].map(unlessLost));
    const causes = await watch.orLost(said);
    await watch.orLost(watch.heard());
    for (const tensor of tensors) {
      // Not whether the tensor still lives: its copy was submitted before it was destroyed.
      const reason = faults.problemOf(tensor);
      if (reason) throw watch.tell(reason);
    }
    const cause = causes.pop();
    const missing = causes.find((one) => one);
    if (missing) throw noMemory('No memory to read tensors back.', missing);
    if (cause) throw validationError('read-back', cause);
    await ready;
    hostBytes(() => {
      for (const { buffer, spans } of pieces) {
        const bytes = new Uint8Array(buffer.getMappedRange());
        for (const span of spans) {
          const part = bytes.subarray(span.at, span.at + span.bytes);
          new Uint8Array(results[span.tensor] as ArrayBuffer, span.from).set(part);
        }
      }
    });
    return results;
  } finally {
    for (const { buffer } of pieces) buffer.destroy();
  }
}

/** What a scope said; nothing where the device is lost, which `lost` says. */
const unlessLost = (said: Promise<GPUError | null>) => said.catch(() => null);

/** Runs `body`, which takes memory of the host. */
function hostBytes<T>(body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw noMemory('The host has no memory to read tensors back.', cause);
  }
}

const unmapped = (cause: unknown) => noMemory('The device did not map the memory of a read-back.', cause);

function noMemory(message: string, cause: unknown): NormError {
  return new NormError('out-of-memory', message, 'Free tensors, or read fewer of them at a time.', cause);
}
