/** What kind of device an adapter is, by what browsers and runtimes say of it. */
import { describe, expect, it } from 'vitest';
import { type AdapterNames, modelOf, modelOfClass } from '../../src/gpu/device-model.ts';
import { checkFacts, overrideFacts } from '../../src/gpu/facts.ts';
import { facts } from '../support/variants.ts';

describe('the class of a device', () => {
  const table: [string, AdapterNames, string][] = [
    // Chromium hides devices and descriptions; Dawn in Node and Deno tell them; Deno has the numbers of vendors.
    ['nothing at all', {}, 'integrated'],
    ['a GeForce in Chromium', { vendor: 'nvidia', architecture: 'lovelace' }, 'desktop'],
    [
      'a GeForce',
      { vendor: 'nvidia', architecture: 'ampere', description: 'NVIDIA GeForce RTX 3090' },
      'desktop',
    ],
    ['an H100 in Chromium', { vendor: 'nvidia', architecture: 'hopper' }, 'datacenter'],
    ['an H200', { vendor: 'nvidia', architecture: '', description: 'NVIDIA H200' }, 'datacenter'],
    ['an A100', { vendor: 'nvidia', description: 'NVIDIA A100-SXM4-80GB' }, 'datacenter'],
    ['an A100 in Deno', { vendor: '4318', description: 'NVIDIA A100-SXM4-80GB' }, 'datacenter'],
    ['a Jetson', { vendor: 'nvidia', description: 'NVIDIA Tegra Orin' }, 'integrated'],
    ['a Radeon in Chromium', { vendor: 'amd', architecture: 'rdna-3' }, 'desktop'],
    ['a Radeon', { vendor: 'amd', description: 'AMD Radeon RX 7900 XTX (RADV NAVI31)' }, 'desktop'],
    ['a processor of AMD', { vendor: 'amd', description: 'AMD Radeon 780M (RADV PHOENIX)' }, 'integrated'],
    ['another', { vendor: 'amd', description: 'AMD Radeon Graphics (RADV RENOIR)' }, 'integrated'],
    ['an Instinct', { vendor: 'amd', description: 'AMD Instinct MI300X' }, 'datacenter'],
    ['an Iris Xe', { vendor: 'intel', architecture: 'gen-12lp' }, 'integrated'],
    ['an Arc in Chromium', { vendor: 'intel', architecture: 'gen-12hp' }, 'desktop'],
    ['an Arc', { vendor: '32902', description: 'Intel(R) Arc(tm) A770 Graphics (DG2)' }, 'desktop'],
    ['an M1', { vendor: 'apple', architecture: 'common-3' }, 'integrated'],
    [
      'an M1 under Linux',
      { vendor: 'mesa', architecture: 'software', device: 'Apple M1', subgroupMinSize: 32 },
      'integrated',
    ],
    ['the same in Chromium', { vendor: 'mesa', architecture: 'software', subgroupMinSize: 32 }, 'integrated'],
    ['an Adreno', { vendor: 'qualcomm', architecture: 'adreno-7xx' }, 'phone'],
    ['a Mali', { vendor: 'arm', architecture: 'valhall' }, 'phone'],
    [
      'llvmpipe',
      { vendor: 'mesa', architecture: 'software', description: 'llvmpipe (LLVM 15.0.6, 256 bits)' },
      'software',
    ],
    ['llvmpipe in Chromium', { vendor: 'mesa', architecture: 'software', subgroupMinSize: 8 }, 'software'],
    ['SwiftShader', { vendor: 'google', architecture: 'swiftshader' }, 'software'],
    ['WARP', { vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }, 'software'],
    ['a fallback adapter', { isFallbackAdapter: true }, 'software'],
  ];
  it.each(table)('of %s', (_, names, deviceClass) => {
    expect(modelOf(names).deviceClass).toBe(deviceClass);
  });

  it('says how many registers there are where compilers of a vendor spill early', () => {
    const items = (names: AdapterNames) => {
      const { forwardItems, backwardItems } = modelOf(names);
      return [forwardItems, backwardItems];
    };
    expect(items({ vendor: 'nvidia' })).toEqual([16, 8]);
    expect(items({ vendor: 'intel', architecture: 'gen-9' })).toEqual([2, 1]);
    expect(items({ vendor: 'apple' })).toEqual([8, 2]);
    expect(items({ vendor: 'amd', architecture: 'gcn-5' })).toEqual([4, 2]);
    expect(items({ vendor: 'amd', architecture: 'rdna-2' })).toEqual([16, 8]);
  });
});

describe('facts that are given', () => {
  it('bring the numbers of their class, but for those that are given, too', () => {
    const phone = overrideFacts(facts, { deviceClass: 'phone', threads: 77 });
    expect(phone).toMatchObject({ ...modelOfClass('phone'), threads: 77, software: false });
    expect(overrideFacts(facts, { software: true })).toMatchObject(modelOfClass('software'));
    const software = overrideFacts(facts, { software: true });
    expect(overrideFacts(software, { software: false })).toMatchObject(modelOfClass('integrated'));
    expect(overrideFacts(facts, { subgroup: undefined })).toEqual(facts);
  });

  it('are refused where they contradict each other, or name no class', () => {
    expect(() => checkFacts({ deviceClass: 'toaster' as 'phone' })).toThrow(
      /deviceClass 'toaster'.*Use one of/s,
    );
    expect(() => checkFacts({ deviceClass: 'phone', software: true })).toThrow(/software is true/);
    expect(() => checkFacts({ deviceClass: 'software', software: true })).not.toThrow();
    for (const value of [0, -1, 1.5, Number.NaN]) {
      for (const name of ['threads', 'forwardItems', 'backwardItems']) {
        expect(() => checkFacts({ [name]: value })).toThrow(/Use an integer ≥ 1/);
      }
    }
  });
});
