// `webgpu-norm doctor`: what this machine's WebGPU has, what will be used of it, and whether it computes right.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { adapterName, library } from './library.mjs';
import { normsOf, numbers } from './norms.mjs';

/** What the tests hold every engine to, and this machine with them. */
const bounds = { forward: 5e-7, backward: 2e-6 };

const limits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
];

/** Errors against float64 of every norm, forward and backward, on data with an offset of 1e4. */
async function selfCheck(lib, gpu) {
  const { normReference, normBackwardReference, relativeError } = lib.reference;
  const results = [];
  for (const norm of normsOf(lib, 33, 500, [3, 6, 9, 7])) {
    const { geometry, kind, eps } = norm;
    const count = norm.shape.reduce((product, size) => product * size, 1);
    const [x, dy] = [numbers(count, 1).map((value) => value + 1e4), numbers(count, 2)];
    const weight = numbers(geometry.channels, 3);
    const tensors = {
      x: gpu.tensor(x, norm.shape),
      dy: gpu.tensor(dy, norm.shape),
      weight: gpu.tensor(weight, [geometry.channels]),
    };
    const forward = norm.forward(gpu, tensors.x, { weight: tensors.weight });
    const { mean, rstd } = forward;
    const backward = norm.backward(gpu, tensors.dy, tensors.x, { weight: tensors.weight, mean, rstd });
    const options = { kind, eps, weight };
    const expected = normBackwardReference(dy, x, geometry, options);
    const error = {
      forward: relativeError(await forward.y.data(), normReference(x, geometry, options).y),
      backward: scaled(await backward.dx.data(), expected.dx, expected.scale.dx),
    };
    for (const pass of /** @type {const} */ (['forward', 'backward'])) {
      const bound = bounds[pass];
      results.push({ name: `${norm.name} ${pass}`, error: error[pass], bound, passed: error[pass] <= bound });
    }
  }
  return results;
}

/** ‖actual − expected‖ / ‖scale‖: a gradient that cancels cannot be more exact than its terms. */
function scaled(actual, expected, scale) {
  let [difference, size] = [0, 0];
  for (const [i, value] of expected.entries()) {
    difference += (actual[i] - value) ** 2;
    size += scale[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

function versions() {
  const own = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
  const node = process.versions.node;
  try {
    const require = createRequire(import.meta.url);
    return { 'webgpu-norm': own, node, webgpu: require('webgpu/package.json').version };
  } catch {
    return { 'webgpu-norm': own, node };
  }
}

/**
 * @param {{ json: boolean, dawn: string[] }} options
 * @returns {Promise<number>} 0, or 1 if there is no adapter or the self-check fails
 */
export async function doctor({ json, dawn }) {
  /** @type {any} */
  const report = { versions: versions() };
  try {
    const lib = await library();
    const gpu = await lib.init({ dawn });
    report.adapter = adapterName(gpu);
    report.features = [...gpu.features].sort();
    report.limits = Object.fromEntries(limits.map((name) => [name, gpu.device.limits[name]]));
    const { software, f16, subgroup } = gpu.facts;
    const strategyOf = (rows, size) =>
      lib.schedule.scheduleForward(lib.reference.layerNormGeometry([rows, size], size), gpu.facts).strategy;
    report.used = {
      schedules: software ? 'for software adapters, without barriers' : 'for GPUs',
      f16,
      subgroups: software || subgroup === 0 ? 'no' : `at least ${subgroup} lanes`,
      'LayerNorm 4096×1024': strategyOf(4096, 1024),
      'LayerNorm 1×1048576': strategyOf(1, 2 ** 20),
    };
    report.selfCheck = await selfCheck(lib, gpu);
    report.passed = report.selfCheck.every(({ passed }) => passed);
    gpu.destroy();
  } catch (error) {
    report.passed = false;
    const { code, fix, message } = /** @type {any} */ (error);
    report.error = { code: code ?? 'unknown', message: message ?? String(error), fix };
  }
  console.log(json ? JSON.stringify(report, null, 2) : text(report));
  return report.passed ? 0 : 1;
}

function text({ versions, adapter, features, limits, used, selfCheck, error, passed }) {
  const table = (/** @type {Record<string, unknown>} */ of) =>
    Object.entries(of ?? {}).map(([name, value]) => `  ${name.padEnd(34)} ${value}`);
  return [
    'versions',
    ...table(versions),
    ...(adapter ? [`adapter\n  ${adapter}`, `features\n  ${features.join(', ') || 'none'}`] : []),
    ...(limits ? ['limits', ...table(limits)] : []),
    ...(used ? ['what will be used', ...table(used)] : []),
    ...(selfCheck
      ? [
          'self-check: relative error against float64, |mean|/std = 1e4',
          ...selfCheck.map(
            (one) =>
              `  ${one.passed ? 'ok    ' : 'FAILED'} ${one.name.padEnd(38)} ${one.error.toExponential(1)} (at most ${one.bound})`,
          ),
        ]
      : []),
    ...(error ? [`error ${error.code}\n  ${error.message}`] : []),
    passed ? 'all is well' : 'this does not work here',
  ].join('\n');
}
