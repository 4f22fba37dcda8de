import { NormError } from './errors.ts';
import { checkFacts, type DeviceFacts } from './facts.ts';
import { Gpu } from './gpu.ts';
import { checkOptions, type OptionNames } from './options.ts';
import { shown } from './shown.ts';

/** Options of {@link init}. */
export interface InitOptions {
  /** Borrow this device. Nothing is requested, and destroy() leaves it alone. */
  device?: GPUDevice | undefined;
  /** Where to find adapters. Default `navigator.gpu`; in Node, what the package `webgpu` creates. */
  gpu?: GPU | undefined;
  /** Default 'high-performance'. */
  powerPreference?: GPUPowerPreference | undefined;
  /** Overrides what strategies are chosen from: for tests and tuning. The device must be able to do what they say. */
  facts?: Partial<DeviceFacts> | undefined;
}

const names = {
  device: 'other',
  gpu: 'other',
  powerPreference: 'string',
  facts: 'other',
} as const satisfies OptionNames<InitOptions>;

const wantedFeatures: GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query'];

// Those that make larger tensors, larger workgroups or fewer dispatches possible.
const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

function checkDevice(device: GPUDevice): void {
  const { createBuffer, queue, limits } = (device ?? {}) as Partial<GPUDevice>;
  if (typeof createBuffer === 'function' && queue && limits) return;
  const fix = 'Pass what `await adapter.requestDevice()` returned, or leave it out.';
  throw new NormError('value', `device is ${shown(device)}, which is no GPUDevice.`, fix);
}

/**
 * Makes a context: on a device of its own with every limit and feature that the adapter has and this library uses
 * (shader-f16, subgroups, timestamp-query), or on yours.
 *
 * @throws NormError `no-webgpu` where there is no WebGPU or no adapter, `device-lost` where the given device is lost.
 */
export async function init(options: InitOptions = {}): Promise<Gpu> {
  checkOptions('init', options, names);
  const { facts = {} } = options;
  checkFacts(facts);
  if (options.device !== undefined) {
    checkDevice(options.device);
    const borrowed = new Gpu(options.device, options.device.adapterInfo, false, facts);
    // A device that is already lost says so within a turn of the event loop.
    await Promise.race([borrowed.lost, new Promise((next) => setTimeout(next))]);
    borrowed.checkAlive();
    return borrowed;
  }
  const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) {
    throw new NormError(
      'no-webgpu',
      'This platform has no WebGPU.',
      "Use a browser with WebGPU on https or localhost; in Node import init from 'webgpu-norm/node' (npm install webgpu).",
    );
  }
  if (typeof gpu.requestAdapter !== 'function') {
    throw new NormError(
      'value',
      `gpu is ${shown(gpu)}.`,
      'Pass a GPU such as navigator.gpu, or leave it out.',
    );
  }
  const powerPreference = options.powerPreference ?? 'high-performance';
  const adapter = await gpu.requestAdapter({ powerPreference }).catch((cause: unknown) => {
    throw new NormError(
      'no-webgpu',
      'WebGPU failed to look for an adapter.',
      'Check the GPU driver (chrome://gpu, about:support).',
      cause,
    );
  });
  if (!adapter) {
    throw new NormError(
      'no-webgpu',
      'WebGPU found no adapter.',
      'Check that the GPU driver is not blocked (chrome://gpu, about:support).',
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits) {
    const limit = adapter.limits[name];
    if (limit !== undefined) requiredLimits[name] = limit;
  }
  const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature));
  const device = await adapter
    .requestDevice({ label: 'webgpu-norm', requiredFeatures, requiredLimits })
    .catch((cause: unknown) => {
      throw new NormError(
        'no-webgpu',
        'The adapter refused to make a device.',
        'Close other programs that use the GPU, or make the device yourself and pass init({ device }).',
        cause,
      );
    });
  return new Gpu(device, adapter.info, true, facts);
}
