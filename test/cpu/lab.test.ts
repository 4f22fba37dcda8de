import { describe, expect, it } from 'vitest';
import { benchRows } from '../../bench/rows.ts';
import { corpus } from '../../scripts/lab/corpus.ts';
import * as amd from '../../scripts/lab/isa/amd.mjs';
import * as intel from '../../scripts/lab/isa/intel.mjs';
import * as nvidia from '../../scripts/lab/isa/nvidia.mjs';
import { judged } from '../../scripts/lab/judge.mjs';
import { kernelOf } from '../../scripts/lab/kernel.ts';
import { counted } from '../../scripts/lab/listing.mjs';
import { randomCases } from '../../scripts/lab/random-cases.ts';
import { targets, targetsNamed } from '../../scripts/lab/targets.mjs';
import { facts as floor } from '../support/variants.ts';

const wgsl = `alias X = f32;
alias X4 = vec4<X>;
const WORKGROUP: u32 = 64u;
alias Part = vec2<f32>;
@group(0) @binding(1) var<storage, read> x: array<X4>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<X4>;
var<workgroup> scratch: array<Part, WORKGROUP>;`;
const kernel = kernelOf('rows/apply', wgsl, 'a test');

/** A loop that loads two quads one after the other, or together. */
const amdLoop = (between: string) => `BB0:
\ts_load_b128 s[8:11], s[2:3], null ; f4080201
BB1:
\tbuffer_load_b128 v[0:3], v8, s[8:11], 0 offen ; e05c0000
${between}\tbuffer_load_b128 v[4:7], v9, s[8:11], 0 offen ; e05c0000
\tbuffer_load_b32 v10, v9, s[8:11], 0 offen ; e0500000
\ts_waitcnt vmcnt(0) ; bf8903f7
\tv_mul_hi_u32 v1, v2, v3 ; d72d0001
\ts_cbranch_scc1 BB1 ; bfa20000
BB2:
\ts_barrier ; bfbd0000
\ts_endpgm ; bfb00000
`;

describe('what is read off assembly', () => {
  it('counts round trips of AMD that wait for each other', () => {
    const together = counted(amd.listing(amdLoop('')), kernel);
    expect(together).toMatchObject({ loads: '16×2 4×1', narrow: 0, divisions: 1, barriers: 1, loopTrips: 1 });
    const serial = counted(amd.listing(amdLoop('\ts_waitcnt vmcnt(0) ; bf8903f7\n')), kernel);
    expect(serial).toMatchObject({ loopTrips: 2, trips: 2 });
  });

  it('finds quads that fell apart', () => {
    const quarter = '\tbuffer_load_dword v0, v8, s[8:11], 0 offen ; e0500000\n';
    const apart = amdLoop(quarter.repeat(4)).replaceAll('b128 v', 'dword v');
    expect(counted(amd.listing(apart), kernel).narrow).toBe(6); // seven loads, one of which is rstd's
    const scalar = kernelOf('rows/apply', wgsl.replaceAll('array<X4>', 'array<X>'), 'a test');
    expect(counted(amd.listing(apart), scalar).narrow).toBeNull();
  });

  it("takes NVIDIA's loops from what leads where", () => {
    const assembly = `block 0 L1 [] -> {
  r1 = mov rZ // delay=1
} -> [1]
block 1 L2 [0, 3] -> {
  r4..8 = ld.global.a64.constant.b128 [r8..10+rZ], pT // delay=1
} -> [2, 3]
block 2 L3 [1] -> {
  st.global.a64.strong.gpu.b64 [r2..4+rZ] r4..6 // delay=2
} -> [4]
block 3 L4 [1] -> {
  bra pT L2 // delay=1
} -> [1]
block 4 L5 [2] -> {
  exit // delay=1
} -> []`;
    expect(counted(nvidia.listing(assembly), kernel)).toMatchObject({ loads: '16×1', stores: '', loops: 1 });
  });

  it("tells Intel's bindings from its scratch", () => {
    const send = (what: string) =>
      `send(16) g3UD g80UD nullUD 0x0210c500 0x00000000\n    ugm MsgDesc: ${what}\n`;
    const assembly = `LABEL7:
${send('( load, a32, d32, V4, L1STATE_L3MOCS dst_len = 8, src0_len = 2, src1_len = 0 bti )  BTI 3')}${send('( load, a32, d32, V16, transpose, L1STATE_L3MOCS dst_len = 2, src0_len = 1, ss )  surface_state_index 0')}
while(16)       JIP:  LABEL7                                   { align1 1H };
`;
    expect(counted(intel.listing(assembly), kernel)).toMatchObject({ loads: '16×1', loops: 1 });
  });
});

it('reads bindings, workgroup memory and sizes off a kernel', () => {
  expect(kernel.bindings.map(({ type }) => type)).toEqual(['vec4<f32>', 'f32', 'vec4<f32>']);
  expect(kernel.shared).toBe(512);
  expect(kernel.variant).toBe('f32 64 portable y');
});

it('judges by the bounds of the target', () => {
  const target = targets.navi31 as (typeof targets)[string];
  const statistics = {
    VGPRs: 200,
    'Subgroups per SIMD': 6,
    'Spilled VGPRs': 2,
    'Spilled SGPRs': 0,
    'Scratch size': 16,
    'LDS size': 0,
    Instructions: 10,
  };
  const executable = { name: 'compute', subgroupSize: 64, statistics, texts: [], assembly: amdLoop('') };
  const compiled = { ...kernel, ms: 1, error: null, executables: [executable] };
  const outcome = { adapter: { architecture: 'rdna-3' }, facts: {}, kernels: [compiled] };
  const [line] = judged(target, outcome);
  expect(line?.breaks).toEqual(['spills 2', 'scratch 16', 'divisions 1', 'occupancy 3 < 8']);
  const [broken] = judged(target, {
    ...outcome,
    kernels: [{ ...compiled, error: 'The compiler crashed.', executables: [] }],
  });
  expect(broken?.breaks).toEqual(['does not compile: The compiler crashed.']);
});

it('knows targets by their names and those of their makers', () => {
  expect(targetsNamed(['amd', 'm1'])).toEqual(['vega10', 'navi21', 'navi31', 'm1']);
  expect(targetsNamed([])).toEqual(Object.keys(targets));
  expect(() => targetsNamed(['voodoo'])).toThrow('There is no target voodoo: vega10, ');
});

it('describes random calls of every op and pass, the same ones each time', () => {
  const few = randomCases(true, 3);
  expect(few).toEqual(randomCases(true, 3));
  expect(few).toHaveLength(10 * 2 * 3);
  const facts = { ...floor, subgroup: 32, maxInvocations: 1024, maxBindingBytes: 2 ** 32 };
  const kernels = corpus(facts, 3);
  expect(new Set(kernels.map(({ wgsl }) => wgsl)).size).toBe(kernels.length);
  const uses = kernels.reduce((sum, one) => sum + one.uses, 0);
  expect(uses).toBeGreaterThan(benchRows(true).length);
});
