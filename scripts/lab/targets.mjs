// The GPUs of the lab, as plain data: which driver compiles for them, what stands for them, and what a kernel is held to there.

/**
 * @typedef {{
 *   most: Record<string, number>,
 *   least: Record<string, number>,
 * }} Bounds columns of a kernel's line, and what they may be at most or at least
 *
 * @typedef {{
 *   gpu: string,
 *   room: 'stable' | 'sid',
 *   isa: 'amd' | 'nvidia' | 'intel' | 'apple' | 'adreno',
 *   driver: string,
 *   shim: string,
 *   env: Record<string, string>,
 *   facts?: Record<string, unknown>,
 *   dawn?: string[],
 *   groups: string[],
 *   bounds: Bounds,
 * }} Target `driver`: Mesa's file of the Vulkan driver; `shim`: the library that stands for the GPU's kernel driver, and `env` which GPU
 * it is; `facts`: what Dawn tells wrong of it; `dawn`: options of Dawn; `groups`: other names on the command line
 */

/**
 * Families of kernels whose loads are all under way at once: what occupancy is for. Half of a target's occupancy suffices them.
 */
export const loadsAtOnce = [
  'channels/backward_apply',
  'channels/backward_sums',
  'kept/backward',
  'kept/forward',
  'merge/statistics',
  'rows/backward_registers',
  'rows/forward_registers',
  'rows/forward_stream',
  'rows/statistics',
];

/** What holds on every GPU. A column that a compiler does not tell is not checked. */
const always = { spills: 0, scratch: 0, narrow: 0, divisions: 0 };

/** @param {number} occupancy @returns {Bounds} */
const bounds = (occupancy) => ({ most: always, least: { occupancy } });

/** Half of RDNA's 16 waves per SIMD, 4 of GCN's 10. @type {(id: string, gpu: string, waves: number) => Target} */
const amd = (id, gpu, waves) => ({
  gpu,
  room: 'stable',
  isa: 'amd',
  driver: 'radeon',
  shim: 'libamdgpu_noop_drm_shim.so',
  env: { AMDGPU_GPU_ID: id },
  groups: ['amd'],
  bounds: bounds(waves),
});

/** Half of the 48 warps that a multiprocessor holds. @type {(gpu: string, chipset: string) => Target} */
const nvidia = (gpu, chipset) => ({
  gpu,
  room: 'sid',
  isa: 'nvidia',
  driver: 'nouveau',
  shim: 'libnouveau_noop_drm_shim.so',
  env: { NOUVEAU_CHIPSET: chipset },
  // NVK checks every access in code of its own, four bytes at a time. NVIDIA's compilers, which the lab stands for here, do not. Dawn has
  // f16 on NVIDIA's GPUs with Direct3D, not with Vulkan, unless it is told to.
  dawn: ['enable-dawn-features=disable_robustness,vulkan_enable_f16_on_nvidia'],
  groups: ['nvidia'],
  bounds: bounds(24),
});

/** Every thread has its 128 registers whatever the kernel takes. @type {(gpu: string, platform: string) => Target} */
const intel = (gpu, platform) => ({
  gpu,
  room: 'stable',
  isa: 'intel',
  driver: 'intel',
  shim: 'libintel_noop_drm_shim.so',
  env: { INTEL_STUB_GPU_PLATFORM: platform },
  groups: ['intel'],
  bounds: { most: always, least: {} },
});

/** @type {Record<string, Target>} */
export const targets = {
  vega10: amd('vega10', 'AMD GCN5', 4),
  navi21: amd('navi21', 'AMD RDNA2', 8),
  navi31: amd('navi31', 'AMD RDNA3', 8),
  ampere: nvidia('NVIDIA Ampere', '172'),
  ada: nvidia('NVIDIA Ada', '192'),
  // Mesa knows no H100. An A100 has as many registers and warps per multiprocessor, and is given the facts of its class.
  ga100: { ...nvidia('NVIDIA A100, for an H100', '170'), facts: { deviceClass: 'datacenter' } },
  tgl: intel('Intel Tiger Lake', 'tgl'),
  dg2: intel('Intel DG2 (Arc A770)', 'dg2'),
  lnl: intel('Intel Lunar Lake', 'lnl'),
  m1: {
    gpu: 'Apple M1',
    room: 'sid',
    isa: 'apple',
    driver: 'asahi',
    shim: 'libasahi_noop_drm_shim.so',
    env: {},
    // Dawn calls what Mesa drives on Apple's chips "software".
    facts: { software: false, iterations: null },
    groups: ['apple'],
    bounds: bounds(640),
  },
  adreno730: {
    gpu: 'Qualcomm Adreno 730',
    room: 'sid',
    isa: 'adreno',
    driver: 'freedreno',
    shim: 'libfreedreno_noop_drm_shim.so',
    env: { FD_GPU_ID: '730' },
    groups: ['adreno', 'qualcomm'],
    bounds: bounds(8),
  },
};

/**
 * The targets that are meant: all of them where none is named.
 *
 * @param {string[]} names of targets or of groups
 * @returns {string[]}
 */
export function targetsNamed(names) {
  if (names.length === 0) return Object.keys(targets);
  const found = names.flatMap((name) => {
    const those = Object.keys(targets).filter((id) => id === name || targets[id]?.groups.includes(name));
    if (those.length === 0) {
      const groups = new Set(Object.values(targets).flatMap((one) => one.groups));
      throw new Error(
        `There is no target ${name}: ${Object.keys(targets).join(', ')}; or several by ${[...groups].join(', ')}`,
      );
    }
    return those;
  });
  return [...new Set(found)];
}
