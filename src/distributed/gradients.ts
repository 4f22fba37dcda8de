import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkKind, checkOptions, listOf, type OptionNames } from '../gpu/options.ts';
import { decode, type Tensor } from '../gpu/tensor.ts';
import { Module } from '../nn/module.ts';
import { checkParameter, Parameter } from '../nn/parameter.ts';
import { checkGroup } from './check-group.ts';
import { hashText } from './frame.ts';
import type { CollectiveOptions, ProcessGroup } from './process-group.ts';
import { readWords, wordsOf, writeWords } from './tensor-words.ts';

/** Options of {@link syncGradients}. */
export interface SyncGradientsOptions extends Pick<CollectiveOptions, 'signal' | 'timeout'> {
  /** Divides the sums by the number of ranks, as DistributedDataParallel. Default true. */
  average?: boolean | undefined;
  /**
   * The ranks that share a sequence. The gradients of parameters that are marked {@link Parameter.sequenceParallel} are
   * first summed, never averaged, over them: Megatron-LM's rule for the weights of LayerNorm and RMSNorm.
   */
  sequenceParallelGroup?: ProcessGroup | undefined;
  /** Bytes that travel together. Default 25 MiB, as DistributedDataParallel's. */
  bucketBytes?: number | undefined;
}

const syncNames = {
  average: 'boolean',
  sequenceParallelGroup: 'other',
  bucketBytes: 'number',
  signal: 'other',
  timeout: 'number',
} as const satisfies OptionNames<SyncGradientsOptions>;

export const defaultBucketBytes = 25 * 2 ** 20;

/** Throws `value` unless a gradient fits. */
export function checkBucketBytes(bucketBytes: number): number {
  if (bucketBytes >= 4) return bucketBytes;
  throw new NormError('value', `bucketBytes is ${bucketBytes}.`, 'Use at least 4.');
}

/**
 * Sums the gradients of parameters over the ranks of a group, or averages them, in place: what DistributedDataParallel does
 * after backward. Those without a gradient take no part. Gradients are f32 on the way, summed in float64 in rank order, the
 * same on every rank.
 *
 * @param parameters - a module, or its parameters, in the same order on all ranks.
 * @throws GroupError `mismatch` unless all ranks have the same parameters in the same order (names, if modules are given,
 * shapes, dtypes, marks) and the same of them have gradients: run backward alike on all, or pass those alone
 * that have gradients everywhere.
 * @throws NormError `value` for a marked parameter without a group for it; {@link GroupError} as allReduce. No gradient is
 * then changed.
 */
export async function syncGradients(
  parameters: Module | Iterable<Parameter>,
  group: ProcessGroup,
  options: SyncGradientsOptions = {},
): Promise<void> {
  checkOptions('syncGradients', options, syncNames);
  checkGroup(group, 'The group');
  const { average = true, sequenceParallelGroup: sequence, bucketBytes = defaultBucketBytes } = options;
  if (sequence !== undefined) checkGroup(sequence, 'sequenceParallelGroup');
  checkBucketBytes(bucketBytes);
  const named = namesOf(parameters);
  const all = [...named.keys()];
  const marked = all.map(({ sequenceParallel }) => sequenceParallel);
  if (!sequence && marked.includes(true)) {
    throw new NormError(
      'value',
      'A parameter is marked sequenceParallel, and there is no sequenceParallelGroup.',
      'Pass the option sequenceParallelGroup.',
    );
  }
  const chosen = all.flatMap(({ grad, sequenceParallel }) => (grad ? [{ grad, sequenceParallel }] : []));
  const gradients = chosen.map(({ grad }) => grad);
  const [first] = gradients;
  const gpu = first?.gpu;
  let values = gpu ? await read(gpu, gradients) : [];
  if (sequence) {
    const own = values.filter((_, i) => chosen[i]?.sequenceParallel);
    const summed = await reduce(own, labelOf([...named].filter(isMarked)), sequence, bucketBytes, options);
    values = values.map((one, i) => (chosen[i]?.sequenceParallel ? (summed.shift() as Float32Array) : one));
  }
  const sums = await reduce(values, labelOf([...named]), group, bucketBytes, options);
  const scale = average ? 1 / group.size : 1;
  // All or nothing: nothing is written before everything has come.
  for (const gradient of gradients) gpu?.checkUsable(gradient, 'a gradient');
  gradients.forEach((gradient, i) => {
    gradient.write((sums[i] as Float32Array).map((value) => value * scale));
  });
}

/**
 * Gives all ranks the values of rank `root`: of a module's parameters and buffers, or of tensors. For start-up, and after a
 * restart from a saved state. Every rank must have the same shapes and dtypes in the same order.
 *
 * @throws GroupError as broadcast. Nothing is then changed.
 */
export async function broadcastParameters(
  state: Module | Iterable<Parameter | Tensor>,
  group: ProcessGroup,
  where: Pick<CollectiveOptions, 'signal' | 'timeout'> & { root?: number | undefined } = {},
): Promise<void> {
  checkOptions('broadcastParameters', where, { root: 'number', signal: 'other', timeout: 'number' });
  checkGroup(group, 'The group');
  const { root = 0, ...options } = where;
  const given =
    state instanceof Module ? [...state.parameters(), ...state.buffers()] : listOf('The state', state);
  const tensors = [...new Set(given.map((one) => (one instanceof Parameter ? one.data : one)))];
  for (const tensor of tensors) {
    checkKind('broadcastParameters', 'a part of the state', tensor, 'tensor');
    tensors[0]?.gpu.checkUsable(tensor);
  }
  const [first] = tensors;
  const gpu = first?.gpu;
  const own = gpu && group.rank === root ? await readWords(gpu, tensors) : new Float32Array(wordsOf(tensors));
  const label = `state.${fingerprint(tensors.map(kind))}`;
  const sent = await group.broadcast(own, root, { ...options, label });
  if (group.rank === root) return;
  for (const tensor of tensors) gpu?.checkUsable(tensor);
  writeWords(tensors, sent);
}

async function read(gpu: Gpu, tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const bytes = await gpu.readBytes(tensors);
  return bytes.map((one, i) => decode(one, (tensors[i] as Tensor).dtype));
}

/** What must be the same on all ranks, in eight characters. */
export const fingerprint = (parts: readonly string[]): string =>
  hashText(parts.join()).toString(16).padStart(8, '0');

/** What ranks must have in common before gradients are added up: whose they are. */
const labelOf = (named: readonly (readonly [Parameter, string])[]): string =>
  `grads.${fingerprint(
    named.map(([{ data, grad, sequenceParallel }, name]) => {
      return `${name} ${kind(data)} ${grad !== null} ${sequenceParallel}`;
    }),
  )}`;

const isMarked = ([{ sequenceParallel }]: readonly [Parameter, string]): boolean => sequenceParallel;

export const kind = ({ shape, dtype }: Tensor): string => `${dtype}[${shape}]`;

/** Every parameter once, with the name that it has in a module, or else its position. */
function namesOf(parameters: Module | Iterable<Parameter>): Map<Parameter, string> {
  if (parameters instanceof Module) {
    return new Map(parameters.namedParameters().map(([name, parameter]) => [parameter, name]));
  }
  const all = [...new Set(listOf('The parameters', parameters))];
  for (const one of all) checkParameter(one, 'Pass model.parameters().');
  return new Map(all.map((parameter, i) => [parameter, String(i)]));
}

/** Sums over the ranks, bucket by bucket, all buckets under way at once. */
async function reduce(
  values: readonly Float32Array[],
  label: string,
  group: ProcessGroup,
  bucketBytes: number,
  { signal, timeout }: SyncGradientsOptions,
): Promise<Float32Array[]> {
  const flat = new Float32Array(values.reduce((total, { length }) => total + length, 0));
  let at = 0;
  const places = values.map((one) => {
    flat.set(one, at);
    at += one.length;
    return at - one.length;
  });
  const step = Math.floor(bucketBytes / 4);
  const buckets: Promise<Float32Array>[] = [];
  // One at least: ranks that have no gradients must meet those that have some.
  for (let start = 0; start === 0 || start < flat.length; start += step) {
    buckets.push(group.allReduce(flat.subarray(start, start + step), { signal, timeout, label }));
  }
  (await Promise.all(buckets)).forEach((sum, i) => {
    flat.set(sum, i * step);
  });
  return values.map(({ length }, i) => flat.subarray(places[i], (places[i] as number) + length));
}
