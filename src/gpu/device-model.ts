// Rough numbers of a device, from what WebGPU tells of it: names, and the sizes of its subgroups.
//
// The numbers of a class are those of typical members, rounded to powers of two. They decide how work is laid out, never whether it is
// right; `init({ facts })` overrides each, and autotune measures what they cannot know.
import { isKeyOf } from './keys.ts';

/** Kinds of devices, by how much work they must have under way at once. */
export type DeviceClass = 'software' | 'phone' | 'integrated' | 'desktop' | 'datacenter';

/** What schedules ask of a device beside its limits. */
export interface DeviceModel {
  deviceClass: DeviceClass;
  /** Threads that run side by side when all cores are full. */
  threads: number;
  /** Quads of x that one lane of a forward pass keeps in registers. */
  forwardItems: number;
  /** Quads of x, and as many of dy, that one lane of a backward pass keeps in registers. */
  backwardItems: number;
  /** Bytes of scratch that any operation may take, however small its input is. */
  leastWorkspace: number;
}

/** What is known of an adapter. Browsers leave out some or all of the names. */
export interface AdapterNames {
  vendor?: string | undefined;
  architecture?: string | undefined;
  device?: string | undefined;
  description?: string | undefined;
  subgroupMinSize?: number | undefined;
  isFallbackAdapter?: boolean | undefined;
}

type Numbers = Omit<DeviceModel, 'deviceClass'>;

/**
 * The numbers of each class.
 *
 * - phone: an Adreno 730 holds some 16 thousand threads.
 * - integrated: an Iris Xe holds 96 × 7 × 16 = 10,752 threads, an Apple M1 some 25,000 (Apple's announcement of 2020).
 * - desktop: a Radeon RX 7900 XTX holds 98,304, a GeForce RTX 4090 128 × 1536 = 196,608.
 * - datacenter: an H100 holds 132 × 2048 = 270,336 (NVIDIA's white paper of 2022).
 * - software: a few threads for each core.
 */
const numbersOf: Readonly<Record<DeviceClass, Numbers>> = {
  software: {
    threads: 64,
    forwardItems: 16,
    backwardItems: 8,
    leastWorkspace: 2 ** 20,
  },
  phone: {
    threads: 2 ** 14,
    forwardItems: 4,
    backwardItems: 2,
    leastWorkspace: 2 ** 24,
  },
  integrated: {
    threads: 2 ** 15,
    forwardItems: 16,
    backwardItems: 8,
    leastWorkspace: 2 ** 24,
  },
  desktop: {
    threads: 2 ** 17,
    forwardItems: 16,
    backwardItems: 8,
    leastWorkspace: 2 ** 24,
  },
  datacenter: {
    threads: 2 ** 18,
    forwardItems: 16,
    backwardItems: 8,
    leastWorkspace: 2 ** 24,
  },
};

/** The numbers of a class, of which nothing more is known. */
export const modelOfClass = (deviceClass: DeviceClass): DeviceModel => ({
  deviceClass,
  ...numbersOf[deviceClass],
});

export const deviceClasses = Object.keys(numbersOf);

export const isDeviceClass = (name: string): name is DeviceClass => isKeyOf(numbersOf, name);

// Dawn gives names, wgpu the numbers of the PCI Special Interest Group, in decimal or hexadecimal.
const vendors: readonly (readonly [RegExp, string])[] = [
  [/nvidia|\b(0x10de|4318)\b/i, 'nvidia'],
  [/\bamd\b|radeon|\b(0x1002|4098)\b/i, 'amd'],
  [/intel|\b(0x8086|32902)\b/i, 'intel'],
  [/apple|\b(0x106b|4203)\b/i, 'apple'],
  [/qualcomm|adreno|\b(0x5143|20803)\b/i, 'phone'],
  [/\barm\b|mali|immortalis|\b(0x13b5|5045)\b/i, 'phone'],
  [/\bimg\b|imagination|powervr|samsung|xclipse|\b(0x1010|4112)\b/i, 'phone'],
];

/** What compilers of a vendor hold in registers without spilling, where that is less than what the class says (docs/lab.md). */
const registersOf: readonly (readonly [vendor: string, words: RegExp, Partial<Numbers>])[] = [
  ['intel', /./, { forwardItems: 2, backwardItems: 1 }],
  ['apple', /./, { forwardItems: 8, backwardItems: 2 }],
  ['amd', /gcn|vega|polaris/i, { forwardItems: 4, backwardItems: 2 }],
];

/** Whether an adapter runs on the CPU: SwiftShader, llvmpipe, WARP. */
function runsOnCpu(adapter: AdapterNames): boolean {
  if (adapter.isFallbackAdapter) return true;
  const words = wordsOf(adapter);
  if (/swiftshader|llvmpipe|lavapipe|basic render/i.test(words)) return true;
  // Dawn calls every driver of Mesa that it does not know "software", such as that of Apple's GPUs under Linux. Their subgroups are of 32
  // threads, those of llvmpipe as wide as a vector of the CPU.
  return /software/i.test(words) && vendorOf(words) === undefined && (adapter.subgroupMinSize ?? 0) < 32;
}

/** The model of a device that goes by these names. What has no name that is known here counts as integrated. */
export function modelOf(adapter: AdapterNames): DeviceModel {
  if (runsOnCpu(adapter)) return modelOfClass('software');
  const words = wordsOf(adapter);
  const vendor = vendorOf(words);
  const deviceClass = classOf(vendor, words);
  const registers = registersOf.filter(([name, pattern]) => name === vendor && pattern.test(words));
  return Object.assign(modelOfClass(deviceClass), ...registers.map(([, , items]) => items));
}

function classOf(vendor: string | undefined, words: string): DeviceClass {
  switch (vendor) {
    case 'phone':
      return 'phone';
    case 'nvidia':
      if (/\b(tegra|orin|thor)\b/i.test(words)) return 'integrated';
      return /hopper|\b(GB?H?[12]00|[ABH][123]0{1,2}|V100|L40S?|Tesla)\b/i.test(words)
        ? 'datacenter'
        : 'desktop';
    case 'amd':
      if (/cdna|instinct|\bMI\d{2,3}/i.test(words)) return 'datacenter';
      // Processors with graphics: "AMD Radeon Graphics", "AMD Radeon 780M", "AMD Custom GPU 0405".
      return /radeon(\(tm\))?( vega \d+)? graphics|\b\d{3}M\b|custom gpu/i.test(words)
        ? 'integrated'
        : 'desktop';
    case 'intel':
      return /\barc\b.*\b[AB]\d{3}|gen-?12-?hp|xe-?\d?-?hpg/i.test(words) ? 'desktop' : 'integrated';
    default:
      return 'integrated';
  }
}

/** All that is told of an adapter, as one text. */
export const wordsOf = ({ vendor, architecture, device, description }: AdapterNames): string =>
  [vendor, architecture, device, description].filter(Boolean).join(' ');

const vendorOf = (words: string): string | undefined => vendors.find(([pattern]) => pattern.test(words))?.[1];
