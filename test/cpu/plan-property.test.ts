/**
 * What holds for the dispatches of every geometry on every kind of device: drawn at random, the same ones in every run. Nothing is
 * allocated, so that tensors may be as large as a GPU's memory.
 */
import { expect, it } from 'vitest';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import { NormError } from '../../src/gpu/errors.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { type Program, scratchBytes } from '../../src/gpu/program.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import type { NormDescriptor } from '../../src/kernels/descriptor.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import { layerNormKernels } from '../../src/kernels/row-kernels.ts';
import { elementCount, type Geometry, setCount, setSize } from '../../src/plan/geometry.ts';
import { workspaceCap } from '../../src/plan/workspace.ts';
import { random } from '../support/data.ts';
import { facts as floor } from '../support/variants.ts';

const desktop: DeviceFacts = { ...floor, subgroup: 32, maxInvocations: 1024, maxBindingBytes: 2 ** 31 };

const devices: Record<string, DeviceFacts> = {
  desktop,
  datacenter: { ...desktop, ...modelOfClass('datacenter') },
  integrated: { ...desktop, ...modelOfClass('integrated'), subgroup: 16, forwardItems: 2, backwardItems: 1 },
  // WebGPU's least: no subgroups, 256 threads a workgroup, bindings of 128 MiB.
  phone: { ...floor, ...modelOfClass('phone'), f16: false, subgroup: 0 },
  software: {
    ...floor,
    ...modelOfClass('software'),
    f16: false,
    software: true,
    subgroup: 0,
    maxBindingBytes: 2 ** 30,
  },
};

/** Elements of the largest tensor: 4 GiB of f32. */
const most = 2 ** 30;

type Draw = () => number;

/** An integer whose logarithm is uniform; half of the time a multiple of a power of two. */
function size(next: Draw, low: number, high: number): number {
  const value = low * (Math.max(low, high) / low) ** next();
  const step = next() < 0.5 ? 2 ** Math.floor(Math.log2(value) / 2) : 1;
  return Math.max(1, Math.round(value / step) * step);
}

const geometries: Record<string, (next: Draw) => Geometry> = {
  rows(next) {
    const channels = size(next, 1, 2 ** 20);
    return { samples: size(next, 1, most / channels), positions: 1, channels, inner: 1, groups: 1 };
  },
  groupedRows(next) {
    const groups = size(next, 2, 256);
    const channels = groups * size(next, 1, 4096);
    return { samples: size(next, 1, most / channels), positions: 1, channels, inner: 1, groups };
  },
  group(next) {
    const groups = size(next, 1, 64);
    const channels = groups * size(next, 1, 64);
    const spatial = size(next, 1, Math.min(2 ** 20, most / channels));
    const samples = size(next, 1, Math.min(4096, most / channels / spatial));
    return next() < 0.5
      ? { samples, positions: 1, channels, inner: spatial, groups }
      : { samples, positions: spatial, channels, inner: 1, groups };
  },
  instance(next) {
    const channels = size(next, 1, 4096);
    const spatial = size(next, 2, Math.min(2 ** 20, most / channels));
    const samples = size(next, 1, Math.min(4096, most / channels / spatial));
    return next() < 0.5
      ? { samples, positions: 1, channels, inner: spatial, groups: channels }
      : { samples, positions: spatial, channels, inner: 1, groups: channels };
  },
  batch(next) {
    const channels = size(next, 1, 4096);
    const spatial = size(next, 1, Math.min(2 ** 20, most / channels));
    const samples = size(next, 2, Math.max(2, Math.min(2 ** 16, most / channels / spatial)));
    return next() < 0.5
      ? { samples: 1, positions: samples, channels, inner: spatial, groups: channels }
      : { samples: 1, positions: samples * spatial, channels, inner: 1, groups: channels };
  },
  kept(next) {
    const positions = size(next, 2, 2 ** 16);
    const channels = size(next, 1, Math.min(2 ** 20, most / positions));
    const samples = size(next, 1, most / positions / channels);
    const reduced = [positions];
    const kept = [channels];
    if (next() < 0.3) {
      reduced.unshift(size(next, 2, 4));
      kept.push(size(next, 1, 4));
    }
    const product = (sizes: number[]) => sizes.reduce((all, one) => all * one, 1);
    return axesOf(Math.ceil(samples / 16), product(reduced), product(kept), { reduced, kept });
  },
};

const axesOf = (samples: number, positions: number, channels: number, runs: Geometry['runs']): Geometry => ({
  samples,
  positions,
  channels,
  inner: 1,
  groups: channels,
  runs,
});

/** What is wrong with a program, in words. */
function faults(program: Program, g: Geometry, elementBytes: number, facts: DeviceFacts): string[] {
  const bytes = elementCount(g) * elementBytes;
  const found: string[] = [];
  // What exceeds a binding, or whose scratch exceeds its cap, is cut, and each part has dispatches of its own. Such a part must still be
  // worth them: sets of a few elements aside, whose statistics alone take as much as they do.
  const dispatches = 8 + Math.floor(bytes / 2 ** 17);
  if (program.steps.length > dispatches && setSize(g) >= 16)
    found.push(`${program.steps.length} dispatches, at most ${dispatches}`);
  const scratch = scratchBytes(program);
  // Groups of a row have at least one partial dweight and dbias each, however long they are.
  const inGroups = g.inner === 1 && g.groups > 1 && g.groups < g.channels;
  // What a sample keeps may be millions of sets, whose statistics are packed where f16 has a residual behind its norm.
  const packed = g.runs && elementBytes === 2 ? 16 * g.groups : 0;
  const cap = workspaceCap(g, elementBytes, facts) + (inGroups ? 8 * g.channels : 0) + packed;
  if (scratch > cap) found.push(`${scratch} bytes of scratch, at most ${cap}`);
  for (const step of program.steps) {
    const { kernel, ranges, workgroups } = step;
    const what = kernel.label;
    if (!(workgroups >= 1 && workgroups <= facts.maxWorkgroupsPerDimension ** 2))
      found.push(`${what}: ${workgroups} workgroups`);
    if (Number(kernel.constants.WORKGROUP) > facts.maxInvocations)
      found.push(`${what}: workgroups of ${kernel.constants.WORKGROUP}`);
    if (kernel.bindings.length > 8) found.push(`${what}: ${kernel.bindings.length} storage buffers`);
    for (const [role, { offset, size: length }] of Object.entries(ranges)) {
      if (offset % facts.offsetAlignment !== 0) found.push(`${what}: ${role} begins at ${offset}`);
      if (length > facts.maxBindingBytes) found.push(`${what}: ${role} takes ${length} bytes`);
      if (length < 1) found.push(`${what}: ${role} is empty`);
      const whole = { x: bytes, y: bytes, dy: bytes, dx: bytes, residual: bytes, ...program.scratch }[role];
      if (whole !== undefined && offset + length > Math.ceil(whole / 4) * 4)
        found.push(`${what}: ${role} ends at ${offset + length} of ${whole}`);
    }
  }
  return found;
}

function programsOf(d: NormDescriptor, facts: DeviceFacts, batch: boolean): Program[] {
  const gradients = { dweight: true, dbias: true, dsum: false, accumulate: { dweight: false, dbias: false } };
  if (d.geometry.runs) {
    const bias = d.activation !== 'none';
    const { forward, backward } = layerNormKernels;
    return [forward(d, facts), backward({ ...d, ...gradients, bias }, facts)];
  }
  return [
    forwardProgram({ ...d, ...(batch ? { running: 'update', momentum: 0.1 } : {}) }, facts),
    backwardProgram({ ...d, ...gradients }, facts),
  ];
}

it.each(Object.entries(geometries))(
  '%s: few dispatches, little scratch, within all limits',
  (family, draw) => {
    const next = random(family.length);
    next();
    const wrong: string[] = [];
    let refused = 0;
    // 2 programs each: 24,000 of all six families.
    for (let i = 0; i < 2000; i++) {
      const geometry = draw(next);
      const names = Object.keys(devices);
      const device = names[i % names.length] as string;
      const facts = devices[device] as DeviceFacts;
      const dtype = facts.f16 && next() < 0.5 ? 'f16' : 'f32';
      const elementBytes = dtype === 'f16' ? 2 : 4;
      const after = next() < 0.3;
      const d: NormDescriptor = {
        ...{ geometry, kind: 'moments', dtype, paramDtype: dtype, eps: 1e-5, weight: true, bias: true },
        ...{ weightOffset: 0, castFirst: false, negativeSlope: 0, schedule: {} },
        activation: after ? 'relu' : 'none',
        residual: after ? 'after' : 'none',
      };
      const name = `${device} ${dtype} ${JSON.stringify(geometry)}`;
      try {
        for (const program of programsOf(d, facts, family === 'batch'))
          wrong.push(...faults(program, geometry, elementBytes, facts).map((fault) => `${name}: ${fault}`));
      } catch (error) {
        if (!(error instanceof NormError && error.code === 'limit')) throw error;
        // Only what a binding cannot hold may be refused: a row, a sample or the whole batch, or what is bound whole, such as mean.
        const sample = elementCount({ ...geometry, samples: 1 }) * elementBytes;
        const mean = setCount(geometry) * 8;
        if (Math.max(sample, mean) <= facts.maxBindingBytes / 2)
          wrong.push(`${name}: refused: ${error.message}`);
        refused++;
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(refused).toBeLessThan(400);
  },
);
