import type { DeviceFacts } from './facts.ts';

/** Reads the facts of a device. */
export function deviceFacts(device: GPUDevice, info: GPUAdapterInfo | undefined): DeviceFacts {
  const words = `${info?.vendor} ${info?.architecture} ${info?.device} ${info?.description}`;
  const limits = device.limits;
  const f16 = device.features.has('shader-f16');
  const smallest = info?.subgroupMinSize ?? 0;
  const software =
    info?.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(words);
  return {
    software,
    // Browsers may hide the driver's name: only SwiftShader is known to run on.
    iterations: software && !/swiftshader/i.test(words) ? 60_000 : Number.POSITIVE_INFINITY,
    f16,
    // Shuffles by index work within aligned runs of the smallest size; a size of 1 to 3 would not pay.
    subgroup: device.features.has('subgroups') && smallest >= 4 ? smallest : 0,
    maxInvocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    leastWorkspace: 2 ** 20,
    offsetAlignment: limits.minStorageBufferOffsetAlignment,
  };
}
