/**
 * The binding number of every role, the same in all shaders (shaders/lib/tensors_*.wgsl and the heads of the kernels).
 * Binding 0 is the uniform buffer with the dispatch's numbers.
 */
export const bindingOf = {
  x: 1,
  residual: 2,
  weight: 3,
  bias: 4,
  y: 5,
  sum: 6,
  mean: 7,
  rstd: 8,
  dy: 9,
  dsum: 10,
  dx: 11,
  partials: 12,
  // Partial sums of dweight and dbias where they are not those of dx; no kernel has both, nor ratios beside them.
  gradients: 12,
  ratios: 12,
  sums: 13,
  dweight: 14,
  dbias: 15,
  runningMean: 16,
  runningVar: 17,
  numBatchesTracked: 18,
  dresidual: 19,
  // What a pass before stored in sum, read in place of x.
  summed: 1,
  // What a pass before stored in dresidual, read in place of dy.
  dz: 9,
  statistics: 20,
  instances: 21,
  // Statistics over replicas: those of all, and the standard deviations of this one.
  joined: 22,
  deviations: 23,
  // Of what y was made with.
  variance: 30,
  // Of optimizers and averages; no kernel has two of 27.
  param: 24,
  grad: 25,
  steps: 26,
  momentumBuffer: 27,
  expAvg: 27,
  average: 27,
  expAvgSq: 28,
  maxExpAvgSq: 29,
  // A linear map that BatchNorm is folded into, and what becomes of it.
  linearWeight: 1,
  linearBias: 2,
  foldedWeight: 5,
  foldedBias: 6,
} as const;

export type Role = keyof typeof bindingOf;

/** What kernels change, where other roles that they write are made anew. */
export const updated: ReadonlySet<Role> = new Set<Role>([
  'runningMean',
  'runningVar',
  'numBatchesTracked',
  'param',
  'steps',
  'momentumBuffer',
  'expAvg',
  'expAvgSq',
  'maxExpAvgSq',
  'average',
]);
