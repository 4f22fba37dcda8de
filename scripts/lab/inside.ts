// The part of the lab that runs beside the stand-in GPU: it has Dawn compile kernels, and the layer writes down what the driver made
// of each. Nothing is ever submitted. Bundled with the library by bundle.mjs; what to do stands in request.json beside it.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DeviceFacts } from '../../src/index.ts';
import { init } from '../../src/node.ts';
import { corpus } from './corpus.ts';
import { type CorpusKernel, kernelOf } from './kernel.ts';

interface Request {
  /** Facts that the adapter does not tell right; null for unlimited iterations, which JSON cannot write. */
  facts: Partial<Record<keyof DeviceFacts, unknown>>;
  /** Options of Dawn beside its backend. */
  dawn: string[];
  /** Random geometries per op and pass. */
  count: number;
  /** WGSL to compile in place of the library's kernels. */
  files: { name: string; code: string }[] | null;
}

const folder = dirname(fileURLToPath(import.meta.url));
const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));

const request: Request = JSON.parse(readFileSync(join(folder, 'request.json'), 'utf8'));
const facts = Object.fromEntries(
  Object.entries(request.facts).map(([name, value]) => [name, value ?? Number.POSITIVE_INFINITY]),
) as Partial<DeviceFacts>;
const gpu = await init({ dawn: ['backend=vulkan', ...request.dawn], facts });
const { vendor, architecture, description, subgroupMinSize, subgroupMaxSize } = gpu.device.adapterInfo;
const kernels = request.files
  ? request.files.map(({ name, code }) => kernelOf(name, code, name))
  : corpus(gpu.facts, request.count);
write('adapter.json', {
  adapter: { vendor, architecture, description, subgroupMinSize, subgroupMaxSize },
  facts: { ...gpu.facts, iterations: Number.isFinite(gpu.facts.iterations) ? gpu.facts.iterations : null },
  kernels: kernels.map(({ wgsl: _, ...rest }) => rest),
});
mkdirSync(join(folder, 'out'), { recursive: true });

/** Kernels that are through, or that a run before this one ended at. */
const log = join(folder, 'log.jsonl');
const known = new Set<string>();
if (existsSync(log)) {
  for (const line of readFileSync(log, 'utf8').split('\n')) if (line) known.add(JSON.parse(line).id);
}
for (const kernel of kernels) if (!known.has(kernel.id)) await compile(kernel);
gpu.destroy();
process.exit(); // Dawn's threads would keep Node alive

async function compile({ id, wgsl }: CorpusKernel): Promise<void> {
  const note = (what: object) => appendFileSync(log, `${JSON.stringify({ id, ...what })}\n`);
  // First of all: where the compiler takes the process along, this line is what remains.
  note({});
  const { device } = gpu;
  process.env.LAB_FILE = join(folder, 'out', `${id}.json`);
  const began = performance.now();
  for (const filter of ['internal', 'out-of-memory', 'validation'] as const) device.pushErrorScope(filter);
  const module = device.createShaderModule({ code: wgsl });
  device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const errors = await Promise.all([1, 2, 3].map(() => device.popErrorScope()));
  const [error] = errors.filter((one) => one !== null);
  note({ ms: Math.round(performance.now() - began), ...(error && { error: error.message }) });
}
