/** The GPUs that times are predicted for: what is public of each, as plain data. */
import type { DeviceClass } from '../../src/gpu/device-model.ts';

/** Times in nanoseconds, so that bytes per nanosecond are GB/s and cycles per nanosecond are GHz. */
export interface ModelDevice {
  name: string;
  deviceClass: DeviceClass;
  /** The lab's target whose compiler and facts stand for the device: bench/lab/<target>.json. */
  target: string;
  /** Of memory, at its peak. */
  bandwidth: number;
  /** From a load to its value, while memory is busy. */
  latency: number;
  clock: number;
  /** What a dispatch costs beside its work: to start it, and to wait for the one before. */
  dispatch: number;
  /** What a workgroup runs on: multiprocessors, workgroup processors, slices of 16 execution units, cores, pairs of shader arrays. */
  cores: number;
  /** Threads of a core that execute an instruction in one cycle. */
  lanes: number;
  /** Bytes of workgroup memory of a core. */
  shared: number;
  /** The lab's figure of occupancy where nothing limits it. */
  fullOccupancy: number;
  /** Threads of a core for each unit of that figure; 'wave' for as many as the compiler's waves have. */
  threadsPerUnit: number | 'wave';
  /** The least share of the bandwidth that a dispatch over 16 MiB and more is to be bound at. */
  floor: number;
}

/**
 * Assumed of every GPU, for want of a public figure. NVIDIA measured 3.4 µs for each kernel of 2.9 µs in a CUDA graph, 0.5 µs between
 * them ("Getting Started with CUDA Graphs", 2019); WebGPU puts a barrier between two dispatches of which one reads what the other wrote,
 * which empties the GPU and fills it again. What the CPU takes to record a dispatch is not in it: the bench repeats what is recorded.
 */
const dispatch = 2000;

/** Cycles from an instruction to the next one of the same thread. Volta takes 4 (Jia and others, arXiv:1804.06826); others are close. */
export const cyclesPerInstruction = 5;

// Latencies are about twice those of an idle GPU, since requests queue where memory is busy: an assumption. Idle ones, in nanoseconds: H100
// some 270 and RTX 4090 some 215 (Luo and others, arXiv:2402.13499), M1 311 (Chips and Cheese, "iGPU Cache Setups Compared", 2022). Of the
// other three no figure was at hand: theirs are assumed to be like these. GPUs with less than 100 GB/s hardly depend on it.
//
// Threads and registers are those that Mesa's compilers know (the lab's occupancy), cores as told by the makers.
export const devices: Readonly<Record<string, ModelDevice>> = {
  // SXM5: 132 multiprocessors of 2048 threads, 128 lanes and 228 KiB, HBM3 at 3.35 TB/s ("NVIDIA H100 Tensor Core GPU Architecture", 2022;
  // "CUDA C++ Programming Guide", compute capability 9.0). 1755 MHz: the boost clock of the PCIe card.
  h100: {
    name: 'NVIDIA H100 SXM',
    deviceClass: 'datacenter',
    target: 'ga100',
    bandwidth: 3350,
    latency: 650,
    clock: 1.755,
    dispatch,
    cores: 132,
    lanes: 128,
    shared: 228 * 1024,
    fullOccupancy: 64,
    threadsPerUnit: 32,
    floor: 0.7,
  },
  // 128 multiprocessors of 1536 threads, 128 lanes and 100 KiB, 1008 GB/s, 2520 MHz ("NVIDIA Ada GPU Architecture", 2022).
  rtx4090: {
    name: 'NVIDIA GeForce RTX 4090',
    deviceClass: 'desktop',
    target: 'ada',
    bandwidth: 1008,
    latency: 500,
    clock: 2.52,
    dispatch,
    cores: 128,
    lanes: 128,
    shared: 100 * 1024,
    fullOccupancy: 48,
    threadsPerUnit: 32,
    floor: 0.9,
  },
  // 48 workgroup processors of four SIMDs with 16 waves of 64 threads and 32 lanes each, and 128 KiB ("RDNA3 Instruction Set Architecture",
  // AMD 2023); 960 GB/s and a game clock of 2300 MHz (AMD's page of the product). Instructions in pairs are not counted on.
  rx7900xtx: {
    name: 'AMD Radeon RX 7900 XTX',
    deviceClass: 'desktop',
    target: 'navi31',
    bandwidth: 960,
    latency: 550,
    clock: 2.3,
    dispatch,
    cores: 48,
    lanes: 128,
    shared: 128 * 1024,
    fullOccupancy: 16,
    threadsPerUnit: 4 * 64,
    floor: 0.9,
  },
  // 8 cores of 128 lanes, 1278 MHz (Chips and Cheese, as above); LPDDR4X-4266 on 128 bits: 68 GB/s. Apple speaks of almost 25,000 threads;
  // Mesa's compiler knows of 1024 to a core, the lower figure. 60 KiB: philipturner/metal-benchmarks on GitHub.
  m1: {
    name: 'Apple M1',
    deviceClass: 'integrated',
    target: 'm1',
    bandwidth: 68,
    latency: 620,
    clock: 1.278,
    dispatch,
    cores: 8,
    lanes: 128,
    shared: 60 * 1024,
    fullOccupancy: 1024,
    threadsPerUnit: 1,
    floor: 0.9,
  },
  // 96 execution units in 6 slices of 16, each unit with 8 lanes and 7 threads of one wave, 128 KiB to a slice ("Intel Processor Graphics
  // Xe-LP API Developer and Optimization Guide", 2021); 1350 MHz and LPDDR4X-4266 on 128 bits in a Core i7-1185G7 (Intel's page of it).
  irisxe: {
    name: 'Intel Iris Xe (96 EU)',
    deviceClass: 'integrated',
    target: 'tgl',
    bandwidth: 68,
    latency: 600,
    clock: 1.35,
    dispatch,
    cores: 6,
    lanes: 128,
    shared: 128 * 1024,
    fullOccupancy: 16 * 7,
    threadsPerUnit: 'wave',
    floor: 0.9,
  },
  // 4 shader processors in two halves each, with 128 lanes and 16 waves a half, and 32 KiB (Mesa's freedreno_devices.py and ir3 compiler); up to
  // 900 MHz (Chips and Cheese, "Inside Snapdragon 8+ Gen 1's iGPU", 2024); LPDDR5-6400 on 64 bits: 51 GB/s (Qualcomm's brief of the chip).
  adreno730: {
    name: 'Qualcomm Adreno 730',
    deviceClass: 'phone',
    target: 'adreno730',
    bandwidth: 51,
    latency: 800,
    clock: 0.9,
    dispatch,
    cores: 8,
    lanes: 128,
    shared: 32 * 1024,
    fullOccupancy: 16,
    threadsPerUnit: 'wave',
    floor: 0.9,
  },
};

/**
 * The devices that a name means: one of them, all of a class, or `all`.
 *
 * @throws Error where there is none of that name.
 */
export function devicesNamed(name: string): string[] {
  const found = Object.keys(devices).filter(
    (id) => name === 'all' || id === name || devices[id]?.deviceClass === name,
  );
  if (found.length > 0) return found;
  const classes = [...new Set(Object.values(devices).map(({ deviceClass }) => deviceClass))];
  throw new Error(
    `--model ${name}: give a class (${classes.join(', ')}), a GPU (${Object.keys(devices).join(', ')}), or all.`,
  );
}
