import { modelOf, wordsOf } from './device-model.ts';
import type { DeviceFacts } from './facts.ts';

/** Reads the facts of a device. */
export function deviceFacts(device: GPUDevice, info: GPUAdapterInfo | undefined): DeviceFacts {
  const model = modelOf(info ?? {});
  const software = model.deviceClass === 'software';
  const limits = device.limits;
  const smallest = info?.subgroupMinSize ?? 0;
  const swiftshader = /swiftshader/i.test(wordsOf(info ?? {}));
  return {
    ...model,
    software,
    // Browsers may hide the driver's name: only SwiftShader is known to run on.
    iterations: software && !swiftshader ? 60_000 : Number.POSITIVE_INFINITY,
    f16: device.features.has('shader-f16'),
    // Shuffles by index work within aligned runs of the smallest size; a size of 1 to 3 would not pay.
    subgroup: device.features.has('subgroups') && smallest >= 4 ? smallest : 0,
    maxInvocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    offsetAlignment: limits.minStorageBufferOffsetAlignment,
  };
}
