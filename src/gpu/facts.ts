import {
  type DeviceClass,
  type DeviceModel,
  deviceClasses,
  isDeviceClass,
  modelOfClass,
} from './device-model.ts';
import { NormError } from './errors.ts';
import { checkOptions, type OptionNames } from './options.ts';
import { shown } from './shown.ts';

/** What strategies are chosen from: plain numbers, so that choosing needs no GPU. */
export interface DeviceFacts extends DeviceModel {
  /** Runs on the CPU (SwiftShader, llvmpipe, WARP): workgroup barriers cost hundreds of loads. The class 'software' by another name. */
  software: boolean;
  /** Loop iterations of one thread that the driver runs. Mesa's llvmpipe up to 22 silently stops after 65,535. */
  iterations: number;
  /** Whether shaders may use WGSL's f16 (the feature shader-f16). Where not, tensors of f16 are read and written as words of two. */
  f16: boolean;
  /** A size that divides every subgroup size the device may choose; 0 without subgroups. */
  subgroup: number;
  maxInvocations: number;
  maxBindingBytes: number;
  maxWorkgroupsPerDimension: number;
  /** Alignment of binding offsets in bytes. */
  offsetAlignment: number;
}

/** @internal */
export const factNames = {
  deviceClass: 'string',
  software: 'boolean',
  iterations: 'number',
  f16: 'boolean',
  subgroup: 'number',
  maxInvocations: 'number',
  maxBindingBytes: 'number',
  maxWorkgroupsPerDimension: 'number',
  leastWorkspace: 'number',
  offsetAlignment: 'number',
  threads: 'number',
  forwardItems: 'number',
  backwardItems: 'number',
} as const satisfies OptionNames<DeviceFacts>;

/** Facts in place of those of a device: some of them. */
type GivenFacts = { [Name in keyof DeviceFacts]?: DeviceFacts[Name] | undefined };

/**
 * Facts that someone gives, before anything is made with them.
 *
 * @throws NormError `value` for a fact or a class that there is not, a class that `software` contradicts, numbers that make no sense.
 */
export function checkFacts(given: GivenFacts): void {
  checkOptions('facts', given, factNames);
  const { deviceClass, software } = given;
  for (const name of ['threads', 'forwardItems', 'backwardItems'] as const) {
    const value = given[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new NormError('value', `facts: ${name} is ${value}.`, 'Use an integer ≥ 1.');
    }
  }
  if (deviceClass === undefined) return;
  if (!isDeviceClass(deviceClass)) {
    throw new NormError(
      'value',
      `facts: there is no deviceClass '${shown(deviceClass)}'.`,
      `Use one of ${deviceClasses.join(', ')}.`,
    );
  }
  if (software !== undefined && software !== (deviceClass === 'software')) {
    throw new NormError(
      'value',
      `facts: software is ${software}, and deviceClass '${deviceClass}'.`,
      'Leave one of them out.',
    );
  }
}

/** The facts with some of them given. A class that is given, by its name or by `software`, brings its own numbers. */
export function overrideFacts(facts: DeviceFacts, given: GivenFacts): DeviceFacts {
  const deviceClass = givenClass(facts, given);
  const numbers = deviceClass === facts.deviceClass ? {} : modelOfClass(deviceClass);
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return {
    ...facts,
    ...numbers,
    ...Object.fromEntries(known),
    deviceClass,
    software: deviceClass === 'software',
  };
}

function givenClass(facts: DeviceFacts, { deviceClass, software }: GivenFacts): DeviceClass {
  if (deviceClass !== undefined) return deviceClass;
  if (software === undefined || software === facts.software) return facts.deviceClass;
  return software ? 'software' : 'integrated';
}
