/** The model of time: its arithmetic on made-up numbers, and that it says something of every row of the bench. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LabKernels } from '../../bench/model/code.ts';
import { devices, devicesNamed, type ModelDevice } from '../../bench/model/devices.ts';
import { predictAll } from '../../bench/model/model.ts';
import { page, under } from '../../bench/model/report.ts';
import { type Code, capacity, timeOf, type Work } from '../../bench/model/time.ts';
import { benchRows, rowName } from '../../bench/rows.ts';

/** 512 threads, 64 lanes. */
const device: ModelDevice = {
  name: 'made up',
  deviceClass: 'integrated',
  target: 'none',
  bandwidth: 100,
  latency: 500,
  clock: 1,
  dispatch: 1000,
  cores: 2,
  lanes: 32,
  shared: 1024,
  fullOccupancy: 8,
  threadsPerUnit: 32,
  floor: 0.9,
};
/** A loop of 20 instructions and one round trip, and 10 and one before it. */
const code: Code = {
  occupancy: 8,
  wave: 32,
  shared: 0,
  instructions: 30,
  loopInstructions: 20,
  trips: 2,
  loopTrips: 1,
};
const work: Work = { workgroups: 8, workgroup: 64, bytes: 0, iterations: 4 };

describe('the time of a dispatch', () => {
  it('is that of its bytes where memory is all that it waits for', () => {
    expect(timeOf({ ...work, bytes: 1e6 }, code, device)).toMatchObject({
      ns: 10_000,
      limit: 'bandwidth',
      bound: 1,
    });
  });

  it('is that of the round trips and instructions of a thread, however few there are', () => {
    // 1 + 4·1 round trips of 500 ns, and 10 + 4·20 instructions of 5 cycles.
    const alone = 5 * 500 + 90 * 5;
    const bytes = 1000;
    const one = timeOf({ ...work, workgroups: 1, bytes }, code, device);
    expect(one).toMatchObject({ ns: alone, limit: 'threads', bound: 10 / alone });
    expect(timeOf({ ...work, bytes }, code, device)).toMatchObject({ ns: alone, limit: 'round trips' });
    // Ten times as many as there is room for.
    expect(timeOf({ ...work, workgroups: 80, bytes }, code, device).ns).toBe(10 * alone);
  });

  it('grows where registers or workgroup memory leave room for fewer threads', () => {
    const full = timeOf(work, code, device);
    const half = timeOf(work, { ...code, occupancy: 4 }, device);
    expect(half).toMatchObject({ ns: 2 * full.ns, limit: 'occupancy' });
    expect(timeOf(work, { ...code, shared: 512 }, device)).toEqual(half);
  });

  it('is that of a whole kernel that has no loop', () => {
    const straight = timeOf(work, { ...code, loopInstructions: null, loopTrips: null }, device);
    expect(straight.ns).toBe(2 * 500 + 30 * 5);
  });

  it('is that of the arithmetic where lanes have no time to wait', () => {
    const busy = timeOf(
      work,
      { ...code, instructions: 100_020, loopInstructions: 20 },
      { ...device, lanes: 4 },
    );
    expect(busy).toMatchObject({ ns: (512 * 100_080) / 8, limit: 'arithmetic' });
  });
});

it('counts threads in whole workgroups, in waves as wide as the compiler made them', () => {
  expect(capacity({ ...code, occupancy: 7 }, 128, device)).toBe(2 * 128);
  expect(capacity({ ...code, occupancy: null }, 64, device)).toBe(512);
  expect(capacity({ ...code, wave: 16 }, 64, { ...device, threadsPerUnit: 'wave' })).toBe(256);
  // One always runs, whatever the figures say.
  expect(capacity({ ...code, occupancy: 1 }, 512, device)).toBe(2 * 512);
});

it('takes the kernel of the same text, or the one that is most like it', () => {
  const lines: [string, string, string][] = [
    ['1', 'rows/apply', 'f32 128/64 y weight bias'],
    ['2', 'rows/apply', 'f32 256/256 y weight bias'],
    ['3', 'rows/apply', 'f16/f32 256/256 y weight'],
    ['4', 'rows/forward_registers', 'f32 128/64 items 2 subgroups y'],
    ['5', 'rows/forward_registers', 'f32 128/64 items 4 subgroups y'],
  ];
  const lab = new LabKernels({
    target: 'none',
    facts: {},
    columns: ['id', 'family', 'variant'],
    kernels: lines,
  });
  const found = (id: string, family: string, variant: string) => {
    const one = lab.find({ id, family, variant });
    return one && [one.line.id, one.exact];
  };
  expect(found('1', 'rows/apply', 'f32 256/256 y weight bias')).toEqual(['1', true]);
  expect(found('x', 'rows/apply', 'f16/f32 256/256 y weight bias')).toEqual(['2', false]);
  expect(found('x', 'rows/apply', 'f32 128/64 y weight')).toEqual(['3', false]);
  expect(found('x', 'rows/forward_registers', 'f16 64/16 items 3 subgroups y')?.[1]).toBe(false);
  expect(found('x', 'rows/forward_registers', 'f16 256/16 items 8 subgroups y')).toEqual(['5', false]);
  expect(found('x', 'rows/statistics', 'f32 256/256')).toBeUndefined();
});

it('knows devices by their names and by their classes', () => {
  expect(devicesNamed('integrated')).toEqual(['m1', 'irisxe']);
  expect(devicesNamed('h100')).toEqual(['h100']);
  expect(devicesNamed('all')).toEqual(Object.keys(devices));
  expect(() => devicesNamed('voodoo')).toThrow('--model voodoo: give a class (datacenter, ');
});

it('predicts every row of the bench for every device', () => {
  const names = benchRows(true).map(rowName).sort();
  for (const [id, predictions] of predictAll('all', join(import.meta.dirname, '../../bench/lab'))) {
    const { rows, notRun } = predictions;
    expect([...rows.map(({ name }) => name), ...notRun].sort()).toEqual(names);
    // The driver of the Adreno binds no more than 128 MiB, and BatchNorm cannot do a channel part by part.
    const held = id === 'adreno730' ? notRun.filter((name) => !/^batchNorm.*112×112/.test(name)) : notRun;
    expect(held).toEqual([]);
    for (const { copyFraction, ns, dispatches } of rows) {
      expect(copyFraction).toBeGreaterThan(0);
      expect(ns).toBeGreaterThan(0);
      expect(dispatches.some(({ overX }) => overX)).toBe(true);
      for (const { bound } of dispatches) expect(bound).toBeLessThanOrEqual(1);
    }
    expect(page(predictions)).toMatch(/^# Predicted, not measured: /);
    expect(under(predictions).every(({ dispatch }) => dispatch.overX)).toBe(true);
  }
});
