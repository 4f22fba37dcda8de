// Every norm in training, as doctor checks it and bench times it.

/**
 * @typedef {object} Norm
 * @property {string} name
 * @property {number[]} shape of x
 * @property {any} geometry
 * @property {'moments' | 'rms'} kind
 * @property {number} eps
 * @property {(gpu: any, x: any, given: any) => any} forward
 * @property {(gpu: any, dy: any, x: any, given: any) => any} backward
 */

/**
 * @param {any} lib what library() gives
 * @param {number} rows @param {number} size of LayerNorm and RMSNorm
 * @param {number[]} image [N, C, H, W]
 * @returns {Norm[]}
 */
export function normsOf(lib, rows, size, image) {
  const { reference } = lib;
  const [n = 1, c = 1, h = 1, w = 1] = image;
  const last = [n, h, w, c];
  const row = { shape: [rows, size], geometry: reference.layerNormGeometry([rows, size], size) };
  const of = (/** @type {any} */ more) => (/** @type {any} */ given) => ({ ...given, ...more });
  const trailing = of({ normalizedShape: size });
  const groups = (/** @type {string} */ layout) => of({ numGroups: 2, layout });
  const batch = (/** @type {string} */ layout) => of({ training: true, layout });
  /** @type {(name: string, at: any, f: string, options: (given: any) => any, kind?: 'moments' | 'rms', eps?: number) => Norm} */
  const norm = (name, at, f, options, kind = 'moments', eps = 1e-5) => ({
    name,
    ...at,
    kind,
    eps,
    forward: (gpu, x, given) => lib[f](gpu, x, options({ ...given, eps })),
    backward: (gpu, dy, x, given) => lib[`${f}Backward`](gpu, dy, x, options(given)),
  });
  const inLayout = (/** @type {'channels-first' | 'channels-last'} */ layout) => {
    const shape = layout === 'channels-first' ? image : last;
    return [
      norm(
        `GroupNorm ${layout}`,
        { shape, geometry: reference.groupNormGeometry(shape, 2, layout) },
        'groupNorm',
        groups(layout),
      ),
      norm(
        `InstanceNorm ${layout}`,
        { shape, geometry: reference.instanceNormGeometry(shape, layout) },
        'instanceNorm',
        of({ layout }),
      ),
      norm(
        `BatchNorm ${layout}`,
        { shape, geometry: reference.batchNormGeometry(shape, layout) },
        'batchNorm',
        batch(layout),
      ),
    ];
  };
  return [
    norm('LayerNorm', row, 'layerNorm', trailing),
    norm('RMSNorm', row, 'rmsNorm', trailing, 'rms', 2 ** -23),
    ...inLayout('channels-first'),
    ...inLayout('channels-last'),
  ];
}

/** Numbers of mean 0 and standard deviation 1, the same in every run. @param {number} count @param {number} seed */
export function numbers(count, seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  // Sums of twelve uniform numbers are normal enough.
  return Float32Array.from({ length: count }, () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += next();
    return sum;
  });
}
