import type { OptionNames } from './options.ts';

/** What strategies are chosen from: plain numbers, so that choosing needs no GPU. */
export interface DeviceFacts {
  /** Runs on the CPU (SwiftShader, llvmpipe, WARP): workgroup barriers cost hundreds of loads. */
  software: boolean;
  /** Loop iterations of one thread that the driver runs. Mesa's llvmpipe up to 22 silently stops after 65,535. */
  iterations: number;
  f16: boolean;
  /** A size that divides every subgroup size the device may choose; 0 without subgroups. */
  subgroup: number;
  maxInvocations: number;
  maxBindingBytes: number;
  maxWorkgroupsPerDimension: number;
  /** Bytes of scratch that any operation may take, however small its input is: 1 MiB. */
  leastWorkspace: number;
  /** Alignment of binding offsets in bytes. */
  offsetAlignment: number;
}

/** @internal */
export const factNames = {
  software: 'boolean',
  iterations: 'number',
  f16: 'boolean',
  subgroup: 'number',
  maxInvocations: 'number',
  maxBindingBytes: 'number',
  maxWorkgroupsPerDimension: 'number',
  leastWorkspace: 'number',
  offsetAlignment: 'number',
} as const satisfies OptionNames<DeviceFacts>;
