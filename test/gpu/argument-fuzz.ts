/**
 * 4,000 calls of all that is public with arguments that are corrupted at random. Nothing is thrown but NormError; a call that fails
 * changes no state and leaves no tensor behind; WebGPU finds nothing wrong with what is recorded; nothing hangs.
 */
import { init, NormError, type Tensor } from '../../src/index.ts';
import type { Case, Context } from '../harness/case.ts';
import { type CallCase, type World, worldOf } from '../support/argument-calls.ts';
import { corrupted, junkOf, oneOf } from '../support/corruptions.ts';
import { random } from '../support/data.ts';

const calls = 4000;
const perCase = 500;
/** Calls whose states are read together. */
const together = 50;
/** Milliseconds that no call takes. */
const hang = 60_000;

interface Done {
  said: string;
  failed: boolean;
}

/** Copies of a world's state, one after each call. */
class Snapshots {
  readonly #device: GPUDevice;
  readonly #state: readonly Tensor[];
  readonly #bytes: number;
  readonly #buffer: GPUBuffer;
  #count = 0;

  constructor(device: GPUDevice, { state }: World) {
    this.#device = device;
    this.#state = state;
    this.#bytes = state.reduce((total, { byteLength }) => total + 4 * Math.ceil(byteLength / 4), 0);
    // MAP_READ and COPY_DST.
    this.#buffer = device.createBuffer({ size: this.#bytes * (together + 1), usage: 0x1 | 0x8 });
  }

  take(): void {
    const encoder = this.#device.createCommandEncoder();
    let at = this.#bytes * this.#count;
    for (const { buffer, offset, byteLength } of this.#state) {
      const bytes = 4 * Math.ceil(byteLength / 4);
      encoder.copyBufferToBuffer(buffer, offset, this.#buffer, at, bytes);
      at += bytes;
    }
    this.#device.queue.submit([encoder.finish()]);
    this.#count += 1;
  }

  /** Which of them differ from the one before. */
  async changed(): Promise<boolean[]> {
    await this.#buffer.mapAsync(1);
    const words = new Uint32Array(this.#buffer.getMappedRange());
    const each = this.#bytes / 4;
    const changed = Array.from({ length: this.#count - 1 }, (_, i) => {
      const [before, after] = [
        words.subarray(i * each, (i + 1) * each),
        words.subarray((i + 1) * each, (i + 2) * each),
      ];
      return before.some((word, at) => word !== after[at]);
    });
    this.#buffer.destroy();
    return changed;
  }
}

/** What a call did: its result, or what it threw or rejected with. */
async function outcomeOf(one: CallCase, receiver: unknown, args: unknown[]) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), hang);
  });
  try {
    const returned = one.call(receiver as never, args as never[]);
    return { result: returned instanceof Promise ? await Promise.race([returned, late]) : returned };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

async function run(t: Context, seed: number): Promise<void> {
  const next = random(seed);
  const adapter = await t.navigatorGpu.requestAdapter();
  const other = await init({ device: (await adapter?.requestDevice()) as GPUDevice });
  const problems: string[] = [];
  const uncaptured: string[] = [];
  const listen = (event: GPUUncapturedErrorEvent) => void uncaptured.push(event.error.message);
  t.device.addEventListener('uncapturederror', listen);
  let failures = 0;
  try {
    for (let first = 0; first < perCase; first += together) {
      // A world of its own for each batch: what successful calls did is gone with it.
      const gpu = await init({ device: t.device });
      const world = worldOf(gpu);
      const junk = junkOf(gpu, other);
      const snapshots = new Snapshots(t.device, world);
      const done: Done[] = [];
      snapshots.take();
      while (done.length < together) {
        const one = oneOf(next, world.calls);
        const { args, said: how } = corrupted(one.args(), junk, next);
        const proxied = one.receiver && next() < 0.05;
        const receiver = proxied ? new Proxy(one.receiver as object, {}) : one.receiver;
        const said = `${one.name}: ${how}${proxied ? ', on a Proxy' : ''}`;
        const before = world.seen();
        const { error } = await outcomeOf(one, receiver, args);
        const failed = error !== undefined;
        if (failed && !(error instanceof NormError)) problems.push(`${said} threw ${error}`);
        else if (failed && !one.once && world.seen() !== before) {
          problems.push(`${said} failed and changed ${before} to ${world.seen()}`);
        }
        if (failed) failures += 1;
        done.push({ said, failed });
        if (world.state.some(({ destroyed }) => destroyed)) break;
        snapshots.take();
      }
      const changed = await snapshots.changed();
      done.forEach(({ said, failed }, i) => {
        if (failed && changed[i]) problems.push(`${said} failed and changed a tensor`);
      });
      junk.free();
      await gpu.idle().catch((error: unknown) => {
        problems.push(`refused by WebGPU: ${error} after ${done.map(({ said }) => said).join('; ')}`);
      });
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (uncaptured.length > 0) {
        problems.push(
          `uncaptured: ${uncaptured.splice(0)[0]} after ${done.map(({ said }) => said).join('; ')}`,
        );
      }
      gpu.destroy();
    }
  } finally {
    t.device.removeEventListener('uncapturederror', listen);
    other.destroy();
    other.device.destroy();
  }
  t.note('calls that were refused', `${failures} of ${perCase}`);
  if (problems.length > 0) throw new Error(`${problems.length} problems:\n${problems.join('\n')}`);
}

export const cases: Case[] = [
  {
    name: 'corrupted arguments: the calls are right as they stand',
    async run({ device }) {
      const gpu = await init({ device });
      const names = worldOf(gpu).calls.map(({ name }) => name);
      for (const [i, name] of names.entries()) {
        // On a world of its own: what one has done is nothing to the next.
        const one = worldOf(gpu).calls[i] as CallCase;
        const { error } = await outcomeOf(one, one.receiver, one.args());
        if (error !== undefined) throw new Error(`${name} threw ${error}`);
      }
      await gpu.idle();
      gpu.destroy();
    },
  },
  ...Array.from({ length: calls / perCase }, (_, i) => ({
    name: `corrupted arguments: calls ${i * perCase} to ${(i + 1) * perCase - 1}`,
    run: (t: Context) => run(t, 4000 + i),
  })),
];
