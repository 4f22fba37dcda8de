/** Runs a configuration of fuzz-config.ts and says what is wrong with it. */
import {
  type BackwardOutputs,
  type FloatDType,
  type ForwardOutputs,
  type Gpu,
  localResponseNorm,
  localResponseNormBackward,
  NormError,
  type Tensor,
} from '../../src/index.ts';
import {
  activate,
  forEachElement,
  groupNormGeometry,
  localResponseNormBackwardReference,
  localResponseNormReference,
  normReference,
  relativeError,
  roundAllTo,
  setCount,
  setSize,
} from '../reference/index.ts';
import { stored } from './data.ts';
import { type Configuration, describeConfiguration, type FuzzData, simpler } from './fuzz-config.ts';
import { damage, decoded, type Guarded, guarded, readBack, type Sketch, within } from './guarded.ts';
import {
  type Arrays,
  arraysOf,
  type Expected,
  epsOf,
  errorsOf,
  geometryOf,
  hasResidual,
  isRms,
  outputsOf,
  parameterShapeOf,
  type Results,
  referenceOf,
  runBackward,
  runForward,
  type Subject,
  withoutKinks,
} from './subject.ts';
import { bounds } from './tolerances.ts';

/** What became of a configuration: compared with float64, refused as it should be, or wrong. */
export type Verdict = { refused?: string; wrong?: string; errors: { output: string; share: number }[] };

type Named<T> = Partial<Record<string, T>>;

const product = (shape: readonly number[]): number => shape.reduce((count, size) => count * size, 1);

/** The arrays of a configuration, patterns included. */
export function fuzzArrays({ subject, data, response }: Configuration): Arrays {
  if (product(subject.shape) === 0) return emptyArrays(subject);
  const { pattern, step, everySet, ...rest } = data;
  if (response)
    return {
      ...arraysOf({ op: 'layerNorm', shape: subject.shape, affine: false, ...dtypeOf(subject) }, rest),
    };
  const arrays = arraysOf(subject, rest);
  if (!pattern) return arrays;
  const x = stored(subject.dtype ?? 'f32', patterned(subject, arrays.x, data));
  // What is added before the norm must not undo the pattern.
  const residual = hasResidual(subject) ? arrays.residual?.map(() => 0) : arrays.residual;
  const { dy } = arraysOf({ ...subject, activation: 'none' }, rest);
  return withoutKinks(subject, { ...arrays, x, dy, residual });
}

const dtypeOf = ({ dtype = 'f32' }: Subject): { dtype: FloatDType } => ({ dtype });

function emptyArrays(subject: Subject): Arrays {
  // One sample in place of none has the right parameters.
  const { x: _, ...one } = arraysOf({ ...subject, shape: subject.shape.map((size) => size || 1) });
  const none = new Float32Array(0);
  const emptied = (values: Float32Array | undefined) => values && none;
  // Where the axis without elements is itself normalized over, there are no parameters either.
  const parameters = product(parameterShapeOf(subject));
  return {
    ...one,
    x: none,
    dy: none,
    weight: one.weight?.subarray(0, parameters),
    bias: one.bias?.subarray(0, parameters),
    residual: emptied(one.residual),
    gate: emptied(one.gate),
    dsum: emptied(one.dsum),
  };
}

function patterned(
  subject: Subject,
  x: Float32Array,
  { pattern, step = 1, everySet }: FuzzData,
): Float32Array {
  const made = x.slice();
  const geometry = geometryOf(subject);
  const seen = new Uint32Array(setCount(geometry));
  // A step of f16 that leaves its range would be Infinity.
  const largest =
    subject.dtype === 'f16' ? 30_000 / Math.max(setSize(geometry), 1) : Number.POSITIVE_INFINITY;
  const width = Math.min(Math.abs(step), largest) * Math.sign(step);
  forEachElement(geometry, (element, set) => {
    const nth = seen[set] as number;
    seen[set] = nth + 1;
    if (!everySet && set % 2 === 1) return;
    made[element] =
      pattern === 'ramp' ? nth * width : pattern === 'constant' || nth % 2 === 0 ? width : -width;
  });
  return made;
}

interface Operands {
  x: Tensor;
  dy: Tensor;
  residual?: Tensor | undefined;
  gate?: Tensor | undefined;
  dsum?: Tensor | undefined;
  weight?: Tensor | undefined;
  bias?: Tensor | undefined;
  runningMean?: Tensor | undefined;
  runningVar?: Tensor | undefined;
}

/** Forward, and backward where the configuration has it. */
function record(
  gpu: Gpu,
  { subject, backward, response }: Configuration,
  on: Operands,
  out: Named<Tensor>,
): Named<Tensor> {
  const { x, dy, residual, gate, weight, bias, runningMean, runningVar, dsum } = on;
  if (response) {
    const options = { ...response, layout: subject.layout };
    localResponseNorm(gpu, x, { ...options, out: { y: out.y } });
    if (backward) localResponseNormBackward(gpu, dy, x, { ...options, out: { dx: out.dx } });
    return out;
  }
  const { dx, dweight, dbias, dresidual, dgate, ...statistics } = out;
  const running = runningMean && runningVar && { runningMean, runningVar };
  const given = Object.keys(out).length > 0;
  const forwardOut = given ? (statistics as ForwardOutputs) : undefined;
  const forward = runForward(gpu, subject, x, residual, weight, bias, running, forwardOut, gate);
  if (!backward) return { ...forward };
  const backwardOut = given ? ({ dx, dweight, dbias, dresidual, dgate } as BackwardOutputs) : undefined;
  const after = subject.residual ? residual : undefined;
  const input = forward.sum ?? x;
  let gradients: ReturnType<typeof runBackward>;
  try {
    gradients = runBackward(
      gpu,
      subject,
      dy,
      input,
      weight,
      bias,
      after,
      forward.mean,
      forward.rstd,
      dsum,
      backwardOut,
      gate,
    );
  } catch (error) {
    // What forward returned is the caller's; only what the refused call made itself would be a leak.
    if (!given) for (const tensor of Object.values(forward)) tensor?.destroy();
    throw error;
  }
  const present = Object.entries(gradients).filter((entry): entry is [string, Tensor] => !!entry[1]);
  return { ...forward, ...Object.fromEntries(present) };
}

/** A forward pass that writes y over a copy of x. */
function recordInPlace(
  gpu: Gpu,
  configuration: Configuration,
  on: Operands,
  values: Float32Array,
): Named<Tensor> {
  const { shape, dtype } = on.x;
  const x = gpu.tensor(values, shape, { dtype });
  try {
    return record(gpu, configuration, { ...on, x }, { y: x });
  } catch (error) {
    x.destroy();
    throw error;
  }
}

/** Where the outputs go: each with its shape and dtype. */
function outputShapes(
  configuration: Configuration,
  arrays: Arrays,
): [string, readonly number[], FloatDType][] {
  const { subject, backward, response } = configuration;
  const { shape, dtype = 'f32', paramDtype = dtype, activation = 'none' } = subject;
  if (response)
    return [
      ['y', shape, dtype],
      ...(backward ? [['dx', shape, dtype] as [string, number[], FloatDType]] : []),
    ];
  const { op, layout } = subject;
  const sets =
    op === 'batchNorm'
      ? [geometryOf(subject).channels]
      : op === 'groupNorm' || op === 'instanceNorm'
        ? [
            shape[0] as number,
            op === 'groupNorm'
              ? (subject.groups ?? 1)
              : (shape[layout === 'channels-last' ? shape.length - 1 : 1] as number),
          ]
        : [...keptSizes(subject), ...((subject.groups ?? 1) > 1 ? [subject.groups as number] : [])];
  const of: Record<keyof Results, [readonly number[], FloatDType]> = {
    y: [shape, subject.yDtype ?? dtype],
    sum: [shape, dtype],
    mean: [[...sets, 2], 'f32'],
    rstd: [sets, 'f32'],
    dx: [shape, dtype],
    dweight: [parameterShapeOf(subject), paramDtype],
    dbias: [parameterShapeOf(subject), paramDtype],
    dresidual: [shape, dtype],
    dgate: [shape, dtype],
  };
  return (
    outputsOf(subject, arrays)
      .filter((name) => backward || !name.startsWith('d'))
      // Without an activation it is dy itself.
      .filter((name) => name !== 'dresidual' || activation !== 'none')
      .map((name) => [name, ...of[name]])
  );
}

/** The sizes of the axes that are not normalized. */
function keptSizes({ shape, axes, trailing = 1 }: Subject): number[] {
  const isKept = (axis: number) =>
    axes ? !axes.includes(axis) && !axes.includes(axis - shape.length) : axis < shape.length - trailing;
  return shape.filter((_, axis) => isKept(axis));
}

/** Whether the library may refuse the configuration with this code. */
function mayRefuse({ subject, facts, response }: Configuration, code: string): boolean {
  if (code === 'limit') return facts !== 'own' && facts !== 'as on a GPU';
  if (code !== 'shape' || response) return false;
  const { op, evaluation = false, shape } = subject;
  const ofChannels = op === 'groupNorm' || op === 'instanceNorm' || op === 'batchNorm';
  return ofChannels && !evaluation && (setSize(geometryOf(subject)) <= 1 || product(shape) === 0);
}

/** Whether an output holds what it held before: the statistics that training would take from an empty x. */
function isUndefined({ subject, response }: Configuration, output: string): boolean {
  if (response || subject.evaluation || product(subject.shape) > 0) return false;
  return output.startsWith('mean') || output === 'rstd';
}

/**
 * The sets whose rstd is beyond 2^104: docs/numerics.md says that they are NaN. An rstd of Infinity is one, of a variance of 0 where eps
 * is 0, too.
 */
function setsBeyondRange(rstd: Float64Array): ReadonlySet<number> {
  return new Set([...rstd.keys()].filter((set) => (rstd[set] as number) > 2 ** 104));
}

/** Submits everything at once and destroys it; what is returned waits for the device. */
export async function runConfiguration(gpu: Gpu, configuration: Configuration): Promise<Verdict> {
  const arrays = fuzzArrays(configuration);
  const errors: Verdict['errors'] = [];
  const { subject } = configuration;
  const { shape, dtype = 'f32', paramDtype = dtype } = subject;
  const sketches: [string, Sketch][] = [];
  const like = (values: Float32Array | undefined, name: string, of: readonly number[], type: FloatDType) => {
    if (values) sketches.push([name, { shape: of, dtype: type, values }]);
  };
  like(arrays.x, 'x', shape, dtype);
  like(arrays.dy, 'dy', shape, subject.yDtype ?? dtype);
  like(arrays.residual, 'residual', shape, dtype);
  like(arrays.gate, 'gate', shape, dtype);
  like(arrays.dsum, 'dsum', shape, dtype);
  if (!configuration.response) {
    like(arrays.weight, 'weight', parameterShapeOf(subject), paramDtype);
    like(arrays.bias, 'bias', parameterShapeOf(subject), paramDtype);
  }
  like(arrays.running?.mean, 'runningMean', [arrays.running?.mean.length ?? 0], 'f32');
  like(arrays.running?.variance, 'runningVar', [arrays.running?.variance.length ?? 0], 'f32');
  const count = sketches.length;
  for (const [name, of, type] of outputShapes(configuration, arrays))
    sketches.push([name, { shape: of, dtype: type }]);
  const made = guarded(
    gpu,
    sketches.map(([, sketch]) => sketch),
    configuration.together,
  );
  const tensors = sketches.map(([name], i) => [name, made[i] as Guarded] as const);
  const inputs: Named<Guarded> = Object.fromEntries(tensors.slice(0, count));
  const outputs: Named<Guarded> = Object.fromEntries(tensors.slice(count));
  const tensorsOf = (from: Named<Guarded>): Named<Tensor> =>
    Object.fromEntries(Object.entries(from).map(([name, one]) => [name, one?.tensor]));
  const operands = tensorsOf(inputs) as unknown as Operands;
  const buffers = [...Object.values(inputs), ...Object.values(outputs)] as Guarded[];
  const before = gpu.memory();

  let refused: string | undefined;
  let wrong: string | undefined;
  const attempt = (body: () => void) => {
    try {
      body();
    } catch (error) {
      if (error instanceof NormError && mayRefuse(configuration, error.code)) refused = error.code;
      else
        wrong ??= `threw ${error instanceof NormError ? `NormError ${error.code}` : String(error)}: ${(error as Error).message}`;
    }
  };
  // First into guarded buffers, then into tensors of the library's own; y of a forward pass alone over x.
  attempt(() => void record(gpu, configuration, operands, tensorsOf(outputs)));
  const whole = readBack(
    gpu.device,
    buffers.map(({ buffer, from, before }) => ({ buffer, offset: from, bytes: before.length })),
  );
  let own: Named<Tensor> = {};
  let again: Promise<Uint8Array<ArrayBuffer>[]> = Promise.resolve([]);
  if (!refused && !wrong && configuration.response) {
    // Its outputs are always given, since there is nothing else to return.
    const second: Named<Tensor> = {};
    for (const [name, one] of Object.entries(outputs))
      second[name] = one && gpu.empty(one.tensor.shape, { dtype: one.tensor.dtype });
    own = second;
    attempt(() => void record(gpu, configuration, operands, second));
  } else {
    attempt(() => {
      const { dtype = 'f32', yDtype = dtype } = configuration.subject;
      own =
        configuration.backward || yDtype !== dtype
          ? record(gpu, configuration, operands, {})
          : recordInPlace(gpu, configuration, operands, arrays.x);
    });
  }
  const compared = Object.entries(own).filter(([name]) => outputs[name]) as [string, Tensor][];
  again = readBack(
    gpu.device,
    compared.map(([, { buffer, offset, byteLength }]) => ({ buffer, offset, bytes: byteLength })),
  );
  for (const tensor of Object.values(own)) if (tensor && tensor !== operands.dy) tensor.destroy();
  const after = gpu.memory();
  if (after.tensors !== before.tensors || after.tensorBytes !== before.tensorBytes) {
    wrong ??= `leaked ${after.tensors - before.tensors} tensors of ${after.tensorBytes - before.tensorBytes} bytes`;
  }

  const [bytes, ownBytes] = await Promise.all([whole, again]);
  for (const { buffer } of buffers) buffer.destroy();
  Object.entries({ ...inputs, ...outputs }).forEach(([name, one], i) => {
    const at = one && damage(one, bytes[i] as Uint8Array, name in inputs);
    if (typeof at === 'number') wrong ??= `${name}: byte ${at} was overwritten`;
  });
  if (wrong) return { wrong, errors };
  if (refused) return { refused, errors };

  const results: Named<Float32Array> = {};
  Object.entries(outputs).forEach(([name, one], i) => {
    if (one) results[name] = within(one.tensor, bytes[Object.keys(inputs).length + i] as Uint8Array);
  });
  for (const [i, [name, tensor]] of compared.entries()) {
    if (isUndefined(configuration, name)) continue;
    const second = decoded(tensor, ownBytes[i] as Uint8Array<ArrayBuffer>);
    if (!sameBits(results[name] as Float32Array, second))
      return { wrong: `two runs differ in ${name}`, errors };
  }
  if (compared.length !== Object.keys(outputs).length) {
    return { wrong: `returned ${compared.map(([name]) => name)}, expected ${Object.keys(outputs)}`, errors };
  }
  for (const { output, error, bound } of judged(configuration, arrays, results)) {
    // A bound of 0 asks for equal numbers.
    errors.push({ output, share: error === 0 ? 0 : error / bound });
    if (!(error <= bound))
      wrong = `${wrong ? `${wrong}, ` : ''}${output} ${error.toExponential(2)} > ${bound.toExponential(2)}`;
  }
  return wrong ? { wrong, errors } : { errors };
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [left, right] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
  return left.length === right.length && left.every((bits, i) => bits === right[i]);
}

type Judged = { output: string; error: number; bound: number };

function judged(configuration: Configuration, arrays: Arrays, results: Named<Float32Array>): Judged[] {
  const { subject, data, backward, response } = configuration;
  if (response) return judgedResponse(configuration, arrays, results);
  const complete: Named<Float32Array> = { dresidual: arrays.dy, ...results };
  // A forward pass alone is judged with gradients that nobody looks at.
  if (!backward)
    for (const name of ['dx', 'dweight', 'dbias', 'dgate'])
      complete[name] ??= new Float32Array(lengthOf(name, arrays));
  const judge = (expected: Expected) =>
    errorsOf(subject, arrays, complete as unknown as Results, data, expected)
      .filter(({ output }) => backward || !output.startsWith('d'))
      .filter(({ output }) => !isUndefined(configuration, output));
  const expected = referenceOf(subject, arrays);
  const beyond = setsBeyondRange(expected.forward.rstd);
  if (beyond.size > 0) return judge(withNaN(subject, expected, beyond)).filter(isOfSets(subject));
  const ofTerms = (output: string) =>
    judge(referenceOf(subject, arrays, undefined, true)).find((one) => one.output === output) as Judged;
  return judge(expected).map((one) => {
    if (one.error <= one.bound) return one;
    if (one.output === 'y') return byTerms(subject, arrays, results.y as Float32Array, one);
    return one.output.startsWith('d') ? ofTerms(one.output) : one;
  });
}

/** What is expected where some sets are NaN. Gradients of parameters sum over sets: they are left out. */
function withNaN(subject: Subject, { x, forward, backward }: Expected, sets: ReadonlySet<number>): Expected {
  const changed = {
    x,
    forward: { y: forward.y.slice(), mean: forward.mean.slice(), rstd: forward.rstd.slice() },
    backward: { ...backward, dx: backward.dx.slice() },
  };
  for (const set of sets) {
    changed.forward.rstd[set] = Number.NaN;
    changed.forward.mean[set] = Number.NaN;
  }
  forEachElement(geometryOf(subject), (element, set) => {
    if (!sets.has(set)) return;
    changed.forward.y[element] = Number.NaN;
    changed.backward.dx[element] = Number.NaN;
  });
  return changed;
}

/** Whether an output is made of single sets, and no activation may have made a number of their NaN. */
const isOfSets =
  ({ activation = 'none' }: Subject) =>
  ({ output }: Judged): boolean =>
    /^(mean|rstd|sum)/.test(output) || (activation === 'none' && (output === 'y' || output === 'dx'));

function lengthOf(name: string, { x, weight, bias }: Arrays): number {
  return (name === 'dx' || name === 'dgate' ? x : ((name === 'dweight' ? weight : bias) ?? weight ?? []))
    .length;
}

/**
 * In tensors of a few elements γ·x̂ and β may cancel in all of them. As gradients are, y is then judged by the sizes of its terms, with
 * the same bound.
 */
function byTerms(subject: Subject, arrays: Arrays, y: Float32Array, one: Judged): Judged {
  if (subject.apart) return one;
  const { output } = one;
  const geometry = geometryOf(subject);
  const { dtype = 'f32' } = subject;
  const { yDtype = dtype } = subject;
  const x = hasResidual(subject)
    ? stored(
        dtype,
        arrays.x.map((value, i) => value + (arrays.residual?.[i] ?? 0)),
      )
    : arrays.x;
  const { samples } = geometry;
  const each = (values: Float32Array) =>
    Float32Array.from({ length: values.length * samples }, (_, i) => values[i % values.length] as number);
  const frozen = arrays.running && {
    mean: each(arrays.running.mean),
    variance: each(arrays.running.variance),
  };
  const options = { kind: isRms(subject) ? 'rms' : 'moments', eps: epsOf(subject), frozen } as const;
  const { y: xhat } = normReference(x, geometry, options);
  const weightOffset = (subject.cast === 'gemma' || subject.zeroCentered) && arrays.weight ? 1 : 0;
  const residual = subject.residual ? arrays.residual : undefined;
  const exact = normReference(x, geometry, {
    ...options,
    weightOffset,
    weight: arrays.weight,
    bias: arrays.bias,
    residual,
    gate: arrays.gate,
    activation: subject.activation,
    negativeSlope: subject.negativeSlope,
  }).y;
  const terms = new Float64Array(exact.length);
  forEachElement(geometry, (element, _, channel) => {
    const scale = (arrays.weight?.[channel] ?? 1) + weightOffset;
    terms[element] =
      Math.abs((xhat[element] as number) * scale) +
      Math.abs(arrays.bias?.[channel] ?? 0) +
      Math.abs(residual?.[element] ?? 0);
    if (arrays.gate) {
      const { activation = 'none', negativeSlope } = subject;
      terms[element] *= Math.abs(activate(arrays.gate[element] as number, activation, negativeSlope));
    }
  });
  const rounding = relativeError(roundAllTo(yDtype, exact), exact, terms);
  const forward = bounds.forward;
  return {
    output,
    error: relativeError(y, exact, terms),
    bound: yDtype !== 'f32' ? bounds.halfFactor * rounding + bounds.halfSlack : forward,
  };
}

function judgedResponse(
  { subject, response, backward }: Configuration,
  { x, dy }: Arrays,
  results: Named<Float32Array>,
): Judged[] {
  const { shape, layout = 'channels-first', dtype = 'f32' } = subject;
  const geometry = groupNormGeometry(shape, 1, layout);
  if (!response) return [];
  const y = localResponseNormReference(x, geometry, response);
  const { dx, scale } = localResponseNormBackwardReference(dy, x, geometry, response);
  const judge = (output: string, exact: Float64Array, against: Float64Array, bound: number): Judged => ({
    output,
    error: relativeError(results[output] as Float32Array, exact, against),
    bound:
      dtype !== 'f32'
        ? bounds.halfFactor * relativeError(roundAllTo(dtype, exact), exact, against) + bounds.halfSlack
        : bound,
  });
  return [judge('y', y, y, bounds.forward), ...(backward ? [judge('dx', dx, scale, bounds.backward)] : [])];
}

/** What kind of fault it is: 'threw NormError limit' as against 'threw TypeError', or the output that is off. */
const firstWords = (wrong: string): string => wrong.split(/: | \d|\n/)[0] ?? '';

/** The simplest configuration near a wrong one that is still wrong, within some steps. */
export async function shrunk(
  gpuOf: (configuration: Configuration) => Gpu,
  configuration: Configuration,
  wrong: string,
  steps = 60,
): Promise<string> {
  let current = configuration;
  let left = steps;
  for (let found = true; found && left > 0; ) {
    found = false;
    for (const next of simpler(current)) {
      if (left-- <= 0) break;
      const verdict = await runConfiguration(gpuOf(next), next).catch(() => undefined);
      // Another fault would be another story.
      if (!verdict?.wrong || firstWords(verdict.wrong) !== firstWords(wrong)) continue;
      current = next;
      found = true;
      break;
    }
  }
  return describeConfiguration(current);
}
