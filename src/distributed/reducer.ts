// The gradients of a model over the ranks of a group: PyTorch's Reducer.
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { decode, type Tensor } from '../gpu/tensor.ts';
import type { HookHandle } from '../nn/hooks.ts';
import type { Module } from '../nn/module.ts';
import type { Parameter } from '../nn/parameter.ts';
import { type Bucket, bucketsOf, type Named } from './buckets.ts';
import { FramedGroup } from './framed-group.ts';
import type { ProcessGroup } from './process-group.ts';

/**
 * Averages gradients in buckets, each of which is on its way as soon as backward is done with it. Whether a rank has a gradient travels
 * with it, so that all ranks come to the same end, whatever one of them lacks.
 *
 * What ranks call, and in which order, must not depend on when the GPU is done: a bucket takes its place among the calls of the group in
 * the moment when its last gradient is recorded, and its values follow.
 */
export class Reducer {
  /** Whether gradients that come are sent. */
  listening = true;
  readonly #gpu: Gpu;
  readonly #group: ProcessGroup;
  readonly #findUnused: boolean;
  readonly #buckets: readonly Bucket[];
  readonly #places: ReadonlyMap<Parameter, number>;
  readonly #handles: readonly HookHandle[];
  /** Of parameters that several modules have nobody knows which gradient is the last. */
  readonly #shared: ReadonlySet<Parameter>;
  readonly #ready = new Set<Parameter>();
  /** Parameters that had more to add when their bucket had gone. */
  readonly #late = new Set<Parameter>();
  #flights: Promise<Float32Array>[] = [];

  constructor(
    model: Module,
    group: ProcessGroup,
    { bucketBytes, findUnusedParameters }: { bucketBytes: number; findUnusedParameters: boolean },
  ) {
    const parameters = trainable(model);
    this.#gpu = model.gpu;
    this.#group = group;
    this.#findUnused = findUnusedParameters;
    this.#buckets = bucketsOf(parameters, bucketBytes);
    this.#places = new Map(
      this.#buckets.flatMap(({ members }, i) => members.map(({ parameter }) => [parameter, i] as const)),
    );
    this.#shared = sharedIn(model);
    this.#handles = parameters.map(({ parameter }) =>
      parameter.registerPostAccumulateGradHook((_, submitted) => this.#came(parameter, submitted)),
    );
  }

  /** Lets go of the parameters. */
  destroy(): void {
    for (const handle of this.#handles) handle.remove();
  }

  /** Forgets a backward pass that failed. What is on its way arrives for nobody. */
  abandon(): void {
    this.#flights = [];
    this.#ready.clear();
    this.#late.clear();
  }

  /**
   * Waits for all gradients, and writes them: sums over the ranks, divided by `divisor`.
   *
   * @param having - how many ranks went backward. The others shadow them.
   * @param shadow - whether this rank is one of those: it adds zeros.
   * @throws NormError `order` on all ranks, for a parameter that has no gradient on some and for gradients that came too late;
   * GroupError. No gradient is then changed.
   */
  async finish(having: number, divisor: number, shadow = false): Promise<void> {
    while (this.#flights.length < this.#buckets.length) await this.#send(shadow);
    const flights = this.#flights;
    const late = [...this.#late];
    this.abandon();
    const sums = await Promise.all(flights);
    if (late.length > 0) throw this.#tooLate(late);
    const found = this.#buckets.flatMap(({ members }, i) => unpack(members, sums[i] as Float32Array));
    const missing = found.filter(({ count }) => count < having);
    if (missing.length > 0 && !this.#findUnused) throw withoutGradient(missing, having);
    for (const { parameter } of found) this.#gpu.checkUsable(parameter.data, 'a parameter');
    this.listening = false;
    try {
      for (const { parameter, count, values } of found) {
        if (count === 0) continue;
        parameter.takeGradient().write(values.map((value) => value / divisor));
        parameter.keepGradient();
      }
    } finally {
      this.listening = true;
    }
  }

  /** A backward pass has added to a gradient. */
  #came(parameter: Parameter, submitted: boolean): void {
    if (!this.listening) return;
    const place = this.#places.get(parameter) as number;
    if (place < this.#flights.length) {
      this.#late.add(parameter);
      return;
    }
    // Which parameters are unused only the end of backward tells. Groups of other classes cannot hold a place.
    if (this.#findUnused || !(this.#group instanceof FramedGroup)) return;
    if (!submitted || this.#shared.has(parameter)) return;
    this.#ready.add(parameter);
    const whole = ({ members }: Bucket) => members.every((one) => this.#ready.has(one.parameter));
    for (;;) {
      const next = this.#buckets[this.#flights.length];
      if (!next || !whole(next)) return;
      void this.#send(false);
    }
  }

  /** Sends the next bucket. Resolves when it has its place among the calls of the group. */
  async #send(shadow: boolean): Promise<void> {
    const { members, length, label } = this.#buckets[this.#flights.length] as Bucket;
    const values = shadow ? Promise.resolve(new Float32Array(length)) : this.#values(members, length);
    values.catch(() => {}); // the flight says it
    let flight: Promise<Float32Array>;
    if (this.#group instanceof FramedGroup) {
      flight = this.#group.allReduceLater(length, values, { label });
    } else flight = this.#group.allReduce(await values, { label });
    flight.catch(() => {}); // finish() says it
    this.#flights.push(flight);
  }

  /** The gradients of a bucket as they are now, and which of them there are. */
  async #values(members: readonly Named[], length: number): Promise<Float32Array> {
    const grads = members.map(({ parameter }) => parameter.grad);
    const there = grads.filter((grad) => grad !== null);
    const read = await this.#gpu.readBytes(there);
    const values = new Float32Array(length);
    let at = 0;
    members.forEach(({ parameter }, i) => {
      const grad = grads[i] as Tensor | null;
      if (grad) {
        values.set(decode(read.shift() as ArrayBuffer, grad.dtype), at);
        values[length - members.length + i] = 1;
      }
      at += parameter.data.size;
    });
    return values;
  }

  #tooLate(late: readonly Parameter[]): NormError {
    const names = this.#buckets
      .flatMap(({ members }) => members)
      .flatMap(({ name, parameter }) => (late.includes(parameter) ? [name] : []));
    return new NormError(
      'order',
      `More was added to the gradients of ${names.join(', ')} when they were on their way to the other ranks.`,
      'Let all backward passes of a step but the last run in noSync(). A module of yours that adds to a gradient several times is to call keepGradient() without its options.',
    );
  }
}

interface Reduced extends Named {
  /** How many ranks have a gradient. */
  count: number;
  /** Its sum. */
  values: Float32Array;
}

function unpack(members: readonly Named[], sum: Float32Array): Reduced[] {
  let at = 0;
  return members.map((named, i) => {
    const { size } = named.parameter.data;
    at += size;
    return {
      ...named,
      count: sum[sum.length - members.length + i] as number,
      values: sum.subarray(at - size, at),
    };
  });
}

function withoutGradient(missing: readonly Reduced[], having: number): NormError {
  const told = missing.map(({ name, count }) => `${name} (on ${having - count} of ${having} ranks)`);
  return new NormError(
    'order',
    `There is no gradient of ${told.reverse().join(', ')}.`,
    'Use all parameters in every forward, freeze the others before wrap(), or pass findUnusedParameters: true.',
  );
}

/** What requires a gradient. Throws `value` for a model without, and for marks that are not heeded. */
function trainable(model: Module): Named[] {
  const all = model.namedParameters().map(([name, parameter]) => ({ name, parameter }));
  const found = all.filter(({ parameter }) => parameter.requiresGrad);
  const marked = found.find(({ parameter }) => parameter.sequenceParallel);
  if (marked) {
    throw new NormError(
      'value',
      `${marked.name} is marked sequenceParallel, and DistributedDataParallel knows of no other ranks than its group.`,
      'Leave the mark out, and call syncGradients(parameters, sequenceGroup, { average: false }) after backward.',
    );
  }
  if (found.length > 0) return found;
  throw new NormError(
    'value',
    'The model has no parameter that requires a gradient.',
    'It needs no DistributedDataParallel.',
  );
}

function sharedIn(model: Module): Set<Parameter> {
  const seen = new Set<Parameter>();
  const shared = new Set<Parameter>();
  for (const module of model.modules()) {
    for (const parameter of module.registry.parameters.values()) {
      if (!parameter) continue;
      if (seen.has(parameter)) shared.add(parameter);
      seen.add(parameter);
    }
  }
  return shared;
}
