/**
 * The part of the harness that runs inside the engine. It is bundled into one file with every case and the
 * library, loaded once, and driven by name from the runner.
 */
import { Gpu, init, type Tensor } from '../../src/index.ts';
import { fuzzCaseNamed } from '../gpu/fuzz.ts';
import { allCases } from '../gpu/index.ts';
import type { AdapterFacts, Case, Context, Outcome, Requirement, Runtime } from './case.ts';
import { selfChecks } from './self-check.ts';

const features: Record<Requirement, GPUFeatureName> = { f16: 'shader-f16', subgroups: 'subgroups' };

const cases = new Map<string, Case>([...allCases, ...selfChecks].map((one) => [one.name, one]));

let shared: { gpu: Gpu; runtime: Runtime; navigatorGpu: GPU } | undefined;
let lost: Promise<never>;
let lostBecause: string | undefined;

/** What the running case is watched for. */
interface Watch {
  /** Messages of the uncaptured errors of all its devices. */
  uncaptured: string[];
  /** The devices that it made. */
  devices: GPUDevice[];
  /** Errors that it provokes on purpose. */
  expected: RegExp[];
}

const newWatch = (): Watch => ({ uncaptured: [], devices: [], expected: [] });
let watch = newWatch();

/** How a case ends that turned out not to apply. */
class NotApplicable extends Error {}

/**
 * Every tensor that a case makes is held until the case ends, so that cases which count what is allocated do not depend on when the
 * garbage collector comes by (that it does come by is what test/package/memory.test.ts shows), and is destroyed then: a process may have
 * no more than 65,530 mappings of memory under Linux, and lavapipe makes one for each buffer.
 */
const held: Tensor[] = [];
const { empty } = Gpu.prototype;
Gpu.prototype.empty = function (...args) {
  const tensor = empty.apply(this, args);
  held.push(tensor);
  return tensor;
};

export async function start(runtime: Runtime): Promise<AdapterFacts> {
  const navigatorGpu = runtime.gpu;
  if (!navigatorGpu) throw new Error('this engine has no WebGPU: navigator.gpu is undefined');
  const gpu = await init({ gpu: navigatorGpu });
  shared = { gpu, runtime, navigatorGpu };
  const { device, adapterInfo: info } = gpu;
  lost = device.lost.then((loss) => {
    lostBecause = `the shared device was lost (${loss.reason}): ${loss.message}`;
    throw new Error(lostBecause);
  });
  lost.catch(() => {});
  device.addEventListener('uncapturederror', (event) => {
    watch.uncaptured.push(event.error.message);
  });
  const subgroups = device.features.has('subgroups');
  const { subgroupMinSize, subgroupMaxSize } = info ?? {};
  return {
    vendor: info?.vendor ?? '',
    architecture: info?.architecture ?? '',
    device: info?.device ?? '',
    description: info?.description ?? '',
    isFallback: info?.isFallbackAdapter === true,
    f16: device.features.has('shader-f16'),
    subgroups,
    subgroupSizes:
      subgroups && subgroupMinSize && subgroupMaxSize ? [subgroupMinSize, subgroupMaxSize] : null,
    features: Array.from(device.features as Iterable<string>).sort(),
  };
}

export async function run(name: string): Promise<Outcome> {
  const one = cases.get(name) ?? fuzzCaseNamed(name);
  const notes: Outcome['notes'] = [];
  if (!one) return failure(name, new Error(`the bundle has no case named "${name}"`), 0, notes);
  if (!shared) return failure(name, new Error('start() has not been called'), 0, notes);
  if (lostBecause) return failure(name, new Error(lostBecause), 0, notes);

  const { gpu, runtime, navigatorGpu } = shared;
  const { device } = gpu;
  const missing = (one.requires ?? []).filter((what) => !device.features.has(features[what]));
  if (missing.length > 0) {
    const reason = `the device has no ${missing.map((what) => features[what]).join(', ')}`;
    return { name, status: 'not-applicable', reason, ms: 0, notes };
  }

  const fetchData = async (path: string) => {
    const response = await fetch(`${runtime.dataUrl}/${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
    return response;
  };
  const context: Context = {
    gpu,
    device,
    navigatorGpu: watched(navigatorGpu),
    readJson: async (path) => (await fetchData(path)).json(),
    readBytes: async (path) => new Uint8Array(await (await fetchData(path)).arrayBuffer()),
    note: (key, value) => notes.push([key, value]),
    expectValidationErrors: (which = /./s) => watch.expected.push(which),
    notApplicable(reason) {
      throw new NotApplicable(reason);
    },
  };

  watch = newWatch();
  const began = performance.now();
  try {
    await Promise.race([finish(one, context), lost]);
    const errors = unexpected();
    if (errors.length > 0) {
      throw new Error(`${errors.length} uncaptured GPU error(s), the first: ${errors[0]}`);
    }
    return { name, status: 'passed', ms: performance.now() - began, notes };
  } catch (error) {
    if (error instanceof NotApplicable && unexpected().length === 0) {
      const ms = performance.now() - began;
      return { name, status: 'not-applicable', reason: error.message, ms, notes };
    }
    return failure(name, error, performance.now() - began, notes);
  }
}

async function finish(one: Case, context: Context): Promise<void> {
  const { queue } = context.device;
  // Every wait for the GPU would otherwise cost 100 ms, which is most of what a case takes.
  const nudge = shared?.runtime.firefox ? setInterval(() => queue.submit([]), 4) : undefined;
  // Firefox reports only the first uncaptured error of a device: there, a scope around the case has to catch the
  // others, or the first of them. It is the outermost: those of the library are pushed and popped within one turn.
  const scoped = shared?.runtime.firefox === true;
  if (scoped) context.device.pushErrorScope('validation');
  try {
    await one.run(context);
  } finally {
    const error = scoped ? await context.device.popErrorScope() : null;
    if (error) watch.uncaptured.push(error.message);
    await Promise.all([settle(context.device), ...watch.devices.map(settleOwn)]);
    for (const tensor of held.splice(0)) tensor.destroy();
    // Engines deliver `uncapturederror` as a task of its own: let that task run.
    await new Promise((resolve) => setTimeout(resolve, 0));
    clearInterval(nudge);
  }
}

/** The engine's `navigator.gpu`, with every device that comes of it watched for the running case. */
function watched(gpu: GPU): GPU {
  const requestAdapter = async (options?: GPURequestAdapterOptions) => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return adapter;
    const request = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await request(descriptor);
      const { uncaptured, devices } = watch;
      device.addEventListener('uncapturederror', (event) => {
        uncaptured.push(event.error.message);
      });
      devices.push(device);
      return device;
    };
    return adapter;
  };
  return { requestAdapter } as GPU;
}

/** Messages of the uncaptured errors that the running case did not announce. */
function unexpected(): string[] {
  return watch.uncaptured.filter((message) => !watch.expected.some((which) => which.test(message)));
}

/** Waits until every error that the case caused has been reported, so that none is blamed on the next one. */
async function settle(device: GPUDevice): Promise<void> {
  await device.queue.onSubmittedWorkDone();
  device.pushErrorScope('validation');
  await device.popErrorScope();
}

/** As settle, for a device that the case may have destroyed. */
async function settleOwn(device: GPUDevice): Promise<void> {
  await Promise.race([settle(device).catch(() => {}), device.lost]);
}

function failure(name: string, error: unknown, ms: number, notes: Outcome['notes']): Outcome {
  const { message, stack } = error instanceof Error ? error : new Error(`thrown: ${String(error)}`);
  const [first] = unexpected();
  const also = first && !message.includes('uncaptured') ? `\nuncaptured GPU error: ${first}` : '';
  return { name, status: 'failed', error: { message: message + also, stack: stack ?? '' }, ms, notes };
}
