/** What the snippets of the documentation take as given. */
import { type Gpu, init, LayerNorm, Sequential, type Tensor } from 'webgpu-norm';
import { LocalProcessGroup, type ProcessGroup } from 'webgpu-norm/distributed';

/** The same numbers in every run, between 0 and 1. */
let state = 1;
const next = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
};

const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

export const gpu: Gpu = await init();
export const device: GPUDevice = gpu.device;
export const x: Tensor = gpu.tensor(new Float32Array(32 * 768).map(next), [32, 768]);
export const dy: Tensor = gpu.tensor(new Float32Array(32 * 768).map(next), [32, 768]);
export const residual: Tensor = gpu.tensor(new Float32Array(32 * 768).map(next), [32, 768]);
export const weight: Tensor = gpu.tensor(new Float32Array(768).fill(1), [768]);
export const bias: Tensor = gpu.zeros([768]);
/** [N, C, H, W] */
export const images: Tensor = gpu.tensor(new Float32Array(2 * 32 * 8 * 8).map(next), [2, 32, 8, 8]);
export const inputBuffer: GPUBuffer = device.createBuffer({ size: 4 * 64 * 768, usage });
export const outputBuffer: GPUBuffer = device.createBuffer({ size: 4 * 64 * 768, usage });
export const model: Sequential = new Sequential(gpu, new LayerNorm(gpu, 768), new LayerNorm(gpu, 768));
export const group: ProcessGroup = LocalProcessGroup.create(1)[0] as ProcessGroup;
export const myPart: Tensor[] = [x];
