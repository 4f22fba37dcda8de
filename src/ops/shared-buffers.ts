// Operands that lie in one GPUBuffer, as in an arena that a program hands out in pieces.
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { bindingOffset } from '../gpu/layout.ts';
import { alignUp } from '../gpu/program.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { checkTensors } from './check.ts';

type Tensors = Readonly<Record<string, Tensor | undefined>>;

/**
 * The operands, by role, that share a GPUBuffer with others where one of them is written; undefined where there are none. Kernels bind
 * these as `read_write`, which is what WebGPU asks of every part of a buffer that a dispatch writes elsewhere.
 *
 * @param inputs - by the name that messages have for them, from which the role follows: `x`, `runningMean`.
 * @param outputs - likewise: `out.y`.
 * @throws NormError `aliasing` if what is bound of one of them overlaps another.
 */
export function sharedOperands(gpu: Gpu, inputs: Tensors, outputs: Tensors): readonly string[] | undefined {
  const written = new Set<GPUBuffer>();
  for (const name in outputs) if (outputs[name]) written.add(outputs[name].buffer);
  if (written.size === 0) return undefined;
  const all: Placed[] = [];
  for (const [name, tensor] of Object.entries({ ...inputs, ...outputs })) {
    if (tensor && tensor.size > 0 && written.has(tensor.buffer)) all.push(placed(gpu, name, tensor));
  }
  const shared = all.filter((one) => all.some((other) => other !== one && other.buffer === one.buffer));
  for (const one of shared) {
    const other = shared.find(
      (two) => two !== one && two.buffer === one.buffer && two.begin < one.end && one.begin < two.end,
    );
    if (other) throw overlap(one, other);
  }
  return shared.length > 0 ? shared.map(({ name }) => roleOf(name)).sort() : undefined;
}

/** Throws unless those tensors that are there can be used; then as {@link sharedOperands}. */
export function checkRanges(gpu: Gpu, inputs: Tensors, outputs: Tensors): readonly string[] | undefined {
  checkTensors(gpu, inputs);
  checkTensors(gpu, outputs);
  return sharedOperands(gpu, inputs, outputs);
}

interface Placed {
  name: string;
  buffer: GPUBuffer;
  begin: number;
  end: number;
}

/** The bytes that a dispatch binds of a tensor. */
const placed = (gpu: Gpu, name: string, tensor: Tensor): Placed => ({
  name,
  buffer: tensor.buffer,
  begin: bindingOffset(tensor, gpu.facts.offsetAlignment),
  end: tensor.offset + alignUp(tensor.byteLength, 4),
});

const roleOf = (name: string): string =>
  name.replace('out.', '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const overlap = (one: Placed, other: Placed): NormError =>
  new NormError(
    'aliasing',
    `${one.name} and ${other.name} overlap in one GPUBuffer, of which the call writes a part: bytes ${one.begin} to ${one.end} and ${other.begin} to ${other.end}.`,
    'Give each a range of its own, or a GPUBuffer of its own.',
  );
