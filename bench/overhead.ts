/** What recording a call again costs the CPU, beside the WebGPU calls that it makes. */
import { type Gpu, LayerNorm } from '../src/index.ts';
import { normal } from '../test/support/data.ts';

export interface Overhead {
  /** Microseconds of a repeated `forward` of a LayerNorm module into a compute pass. */
  moduleUs: number;
  /** Microseconds of the same setPipeline, setBindGroup and dispatchWorkgroups by hand. */
  byHandUs: number;
}

/** The smallest difference between two readings of the clock, in milliseconds. */
function clockStep(): number {
  let step = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    let now = start;
    while (now === start) now = performance.now();
    step = Math.min(step, now - start);
  }
  return step;
}

/** Records a forward of one row of 1024 again and again, and the same calls by hand, in turns. Nothing is submitted. */
export async function measureOverhead(gpu: Gpu): Promise<Overhead> {
  const { device } = gpu;
  const x = gpu.tensor(normal(1024), [1, 1024]);
  const y = gpu.empty([1, 1024]);
  const module = new LayerNorm(gpu, 1024);
  const calls: [GPUComputePipeline, GPUBindGroup, number, number][] = [];
  let pipeline: GPUComputePipeline | undefined;
  let group: GPUBindGroup | undefined;
  const recorder = {
    setPipeline: (one: GPUComputePipeline) => {
      pipeline = one;
    },
    setBindGroup: (_: number, one: GPUBindGroup) => {
      group = one;
    },
    dispatchWorkgroups: (columns: number, lines: number) => {
      calls.push([pipeline as GPUComputePipeline, group as GPUBindGroup, columns, lines]);
    },
  };
  module.forward(x, { pass: recorder as unknown as GPUComputePassEncoder, out: y });
  // So many that a step of the clock, 1 ms in some browsers, is a twentieth of what is measured.
  const times = Math.max(5000, Math.ceil((1000 * clockStep()) / 0.05 / 0.15));
  const timed = (body: (pass: GPUComputePassEncoder) => void): number => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const start = performance.now();
    body(pass);
    const milliseconds = performance.now() - start;
    pass.end();
    encoder.finish();
    return (milliseconds / times) * 1000;
  };
  const byHand = () =>
    timed((pass) => {
      for (let i = 0; i < times; i++) {
        for (const [one, bound, columns, lines] of calls) {
          pass.setPipeline(one);
          pass.setBindGroup(0, bound);
          pass.dispatchWorkgroups(columns, lines);
        }
      }
    });
  const byModule = () =>
    timed((pass) => {
      const options = { pass, out: y };
      for (let i = 0; i < times; i++) module.forward(x, options);
    });
  // The machine may be busy with something else: the fastest of interleaved rounds is what the code costs.
  let [hand, ours] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  // Not too many: command buffers that are never submitted wait for the garbage collector.
  const rounds = Math.max(3, Math.floor(400_000 / times));
  for (let round = 0; round < rounds; round++) {
    hand = Math.min(hand, byHand());
    ours = Math.min(ours, byModule());
  }
  await device.queue.onSubmittedWorkDone();
  module.destroy();
  for (const tensor of [x, y]) tensor.destroy();
  return { moduleUs: ours, byHandUs: hand };
}
