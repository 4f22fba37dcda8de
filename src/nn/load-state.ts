import { NormError } from '../gpu/errors.ts';
import { isKeyOf } from '../gpu/keys.ts';
import { shown } from '../gpu/shown.ts';
import { byteSize, elementCount, padded, type Tensor } from '../gpu/tensor.ts';
import { type HostTensor, holders, numbersOf } from '../io/host-tensor.ts';
import { copyInto, copyProblem } from '../ops/cast.ts';
import { sameShape } from '../ops/check.ts';

/** What a module loads: what stateDict() or {@link decodeSafetensors} returns, or any Map of tensors by name. */
export type LoadableState = ReadonlyMap<string, Tensor | HostTensor> & {
  readonly versions?: ReadonlyMap<string, number>;
  readonly unsupported?: ReadonlyMap<string, string>;
};

/** What {@link loadable} makes of what is to be loaded. */
interface Loadable {
  /** A copy of the entries, to be changed. */
  entries: Map<string, Tensor | HostTensor>;
  versions: ReadonlyMap<string, number>;
  unsupported: ReadonlyMap<string, string>;
}

/** What is to be loaded, taken apart. Throws `state` unless it is tensors by name. */
export function loadable(dict: LoadableState): Loadable {
  const mapOf = <Value>(map: unknown) => (map instanceof Map ? (map as Map<string, Value>) : new Map());
  if (typeof dict === 'object' && dict !== null) {
    try {
      const { versions, unsupported } = dict;
      return { entries: new Map(dict), versions: mapOf(versions), unsupported: mapOf(unsupported) };
    } catch {} // no entries, or a Proxy of a Map, which cannot be read
  }
  throw new NormError(
    'state',
    `${shown(dict)} is no Map of tensors by name.`,
    'Pass what stateDict() returned, or decodeSafetensors(bytes), or new Map(Object.entries(tensors)).',
  );
}

/** Names that a module and what it loaded do not share; both empty if it was loaded strictly. */
export interface LoadResult {
  /** What the module has and the state dict has not. */
  missingKeys: string[];
  /** What the state dict has and the module has not. */
  unexpectedKeys: string[];
}

/**
 * Copies entries into the tensors of the same name. Everything that does not fit is found before anything is changed.
 *
 * @param problems - those already known.
 * @param unsupported - dtypes by name of what a file has and nothing can read.
 */
export function loadState(
  module: string,
  targets: ReadonlyMap<string, Tensor>,
  entries: ReadonlyMap<string, Tensor | HostTensor>,
  problems: string[],
  strict: boolean,
  unsupported: ReadonlyMap<string, string> = new Map(),
): LoadResult {
  const missingKeys = [...targets.keys()].filter((name) => !entries.has(name) && !unsupported.has(name));
  const unexpectedKeys = [...entries.keys(), ...unsupported.keys()].filter((name) => !targets.has(name));
  for (const [name, dtype] of unsupported) {
    if (targets.has(name)) problems.push(`${name}: it is ${dtype}, which cannot be read; convert it first`);
  }
  if (strict) {
    if (missingKeys.length > 0) problems.push(`missing keys: ${quoted(missingKeys)}`);
    if (unexpectedKeys.length > 0) problems.push(`unexpected keys: ${quoted(unexpectedKeys)}`);
  }
  const pairs: [Tensor, Tensor | HostTensor][] = [];
  for (const [name, target] of targets) {
    const source = entries.get(name);
    if (source === undefined || source === target) continue;
    pairs.push([target, source]);
    const problem = isTensor(source)
      ? tensorProblem(name, target, source)
      : hostProblem(name, target, source);
    if (problem) problems.push(`${name}: ${problem}`);
  }
  if (problems.length > 0) {
    throw new NormError(
      'state',
      `The state dict does not fit this ${module}:\n  ${problems.join('\n  ')}\n`,
      'Load it into a module of the same structure; { strict: false } leaves out keys that only one of them has.',
    );
  }
  for (const [target, source] of pairs) {
    if (isTensor(source)) copyInto(target.gpu, source, target);
    else if (byteSize(target.dtype) === 2 && source.dtype === target.dtype) target.upload(bitsOf(source));
    else target.write(target.dtype === 'u32' ? wholeNumbers(source) : numbersOf(source));
  }
  return { missingKeys, unexpectedKeys };
}

/** The bytes of f16 and bf16 as they are: no NaN loses what it carries. */
const bitsOf = ({ data }: HostTensor) => padded(Uint16Array.from(data as Uint16Array).buffer);

/** As torch's copy_ makes integers of floats, such as an average of counts: cut off towards zero. */
const wholeNumbers = (source: HostTensor): number[] => Array.from(numbersOf(source), Math.trunc);

/** By what only one of them has. */
const isTensor = (source: Tensor | HostTensor): source is Tensor =>
  typeof source === 'object' && source !== null && 'gpu' in source;

const quoted = (names: readonly string[]): string => names.map((name) => `"${shown(name)}"`).join(', ');

function tensorProblem(name: string, target: Tensor, source: Tensor): string | undefined {
  target.gpu.checkUsable(source, name);
  target.gpu.checkUsable(target, name);
  if ((target.dtype === 'u32') !== (source.dtype === 'u32')) {
    return `it is ${source.dtype}; ${target.dtype} is needed`;
  }
  return shapeProblem(target, source.shape) ?? copyProblem(source, target);
}

function hostProblem(name: string, target: Tensor, source: HostTensor): string | undefined {
  target.gpu.checkUsable(target, name);
  if (typeof source !== 'object' || source === null) return `it is ${shown(source)}, no tensor`;
  const { dtype, shape, data } = source;
  if (!isKeyOf(holders, dtype) || !(data instanceof holders[dtype])) {
    return `its data are no ${shown(dtype)}`;
  }
  if (!Array.isArray(shape) || !shape.every(Number.isInteger)) return 'it has no shape';
  if (data.length !== elementCount(shape)) return `of shape [${shape}], it has ${data.length} elements`;
  if (target.dtype === 'u32') {
    const wrong = wholeNumbers(source).find((value) => !(value >= 0 && value < 2 ** 32));
    if (wrong !== undefined) return `${wrong} is beyond 0 to 2^32 - 1`;
  }
  return shapeProblem(target, shape) ?? target.writeProblem();
}

/** PyTorch's rule: one value in a list serves as a scalar, as before its version 0.4. */
function shapeProblem(target: Tensor, shape: readonly number[]): string | undefined {
  if (sameShape(target.shape, shape)) return undefined;
  if (target.shape.length === 0 && sameShape(shape, [1])) return undefined;
  return `it has shape [${shape}]; [${target.shape}] is needed`;
}
