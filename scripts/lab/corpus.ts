// What the lab compiles: the kernels of the default plan for every row of the bench and for random geometries, each text once.
import { createHash } from 'node:crypto';
import { benchRows, isResidual, isRms, type Row, rowName } from '../../bench/rows.ts';
import type { DeviceFacts } from '../../src/index.ts';
import {
  type DescribedDispatch,
  type DescribedOp,
  type DescribeOptions,
  describe,
  NormError,
} from '../../src/kernels.ts';
import { randomCases } from './random-cases.ts';

export interface CorpusKernel {
  /** Of its text. */
  id: string;
  /** The file under shaders/kernels, or that on the command line. */
  family: string;
  /** In words: what tells it from others of its family. */
  variant: string;
  wgsl: string;
  bindings: { name: string; access: 'read' | 'read_write'; type: string }[];
  workgroup: number;
  /** Calls that it is part of, of those that were described. */
  uses: number;
  /** One of them. */
  example: string;
}

export interface Case {
  name: string;
  op: DescribedOp;
  options: DescribeOptions;
}

/** All kernels, without two of the same text. */
export function corpus(facts: DeviceFacts, count: number): CorpusKernel[] {
  const rows = benchRows(facts.f16).filter(({ pass }) => pass !== 'forward+backward');
  const cases = [...rows.map(rowCase), ...randomCases(facts.f16, count)];
  const found = new Map<string, CorpusKernel>();
  for (const one of cases) {
    for (const dispatch of dispatchesOf(one, facts)) {
      const known = found.get(dispatch.wgsl);
      if (known) known.uses++;
      else found.set(dispatch.wgsl, kernelOf(dispatch, one.name));
    }
  }
  return [...found.values()];
}

/** None where a tensor is larger than the device has room for. */
function dispatchesOf({ op, options }: Case, facts: DeviceFacts): DescribedDispatch[] {
  try {
    return describe(op, options, facts).dispatches;
  } catch (error) {
    if (error instanceof NormError && error.code === 'limit') return [];
    throw error;
  }
}

/** A row of the bench as `describe` takes it, with the tensors that bench/recorder.ts gives the op. */
function rowCase(row: Row): Case {
  const { op, shape, dtype, layout, groups, training = false, relu } = row;
  const pass = row.pass as 'forward' | 'backward';
  const common: DescribeOptions = { shape: [...shape], dtype, paramDtype: 'f32', pass };
  const options: DescribeOptions =
    op === 'batchNorm'
      ? {
          ...common,
          layout,
          training,
          activation: relu ? 'relu' : 'none',
          ...(pass === 'forward' && running(training)),
        }
      : op === 'groupNorm' || op === 'instanceNorm'
        ? { ...common, layout, ...(groups !== undefined && { numGroups: groups }) }
        : {
            ...common,
            normalizedShape: shape.slice(1),
            ...(pass === 'backward' && { dsum: isResidual(op) }),
          };
  return { name: rowName(row), op, options: isRms(op) ? options : { ...options, bias: true } };
}

const running = (training: boolean) => ({
  runningMean: true,
  runningVar: true,
  ...(training && { numBatchesTracked: true }),
});

function kernelOf(
  { wgsl, label, bindings, workgroupSize: [workgroup] }: DescribedDispatch,
  example: string,
): CorpusKernel {
  const [family = ''] = label.split(',');
  return {
    id: idOf(wgsl),
    family,
    variant: variantOf(wgsl),
    wgsl,
    bindings: bindings.map(({ name, access, elementType: type }) => ({ name, access, type })),
    workgroup,
    uses: 1,
    example,
  };
}

/** A file of WGSL: what a description would say of it is read off its text. */
export function fileKernel({ name, code }: { name: string; code: string }): CorpusKernel {
  const aliases = new Map(
    [...code.matchAll(/^alias (\w+) = (.+);$/gm)].map(([, alias, type]) => [alias, type]),
  );
  const typeOf = (type: string): string => {
    const known = aliases.get(type);
    return known ? typeOf(known) : type.replace(/<(\w+)>/, (_, inner) => `<${typeOf(inner)}>`);
  };
  const bindings = [...code.matchAll(/var<storage, (read|read_write)> (\w+): array<(.+)>;/g)].map(
    ([, access, own = '', type = '']) => ({
      name: own,
      access: access as 'read' | 'read_write',
      type: typeOf(type),
    }),
  );
  const size = /@workgroup_size\((\w+)/.exec(code)?.[1] ?? '1';
  const workgroup = Number.parseInt(constantOf(code, size) ?? size, 10);
  return {
    id: idOf(code),
    family: name,
    variant: variantOf(code),
    wgsl: code,
    bindings,
    workgroup,
    uses: 1,
    example: name,
  };
}

const idOf = (wgsl: string): string => createHash('sha256').update(wgsl).digest('hex').slice(0, 12);

const constantOf = (wgsl: string, name: string): string | undefined =>
  new RegExp(`^const ${name}: \\w+ = (\\w+?)u?;$`, 'm').exec(wgsl)?.[1];

/** `f16/f32 128/64 items 4 rms`: types of x and of parameters, workgroup / lanes, and what else is in the text. */
function variantOf(wgsl: string): string {
  const alias = (name: string) => new RegExp(`^alias ${name} = (\\w+);$`, 'm').exec(wgsl)?.[1];
  const [x, w] = [alias('X'), alias('W')];
  const words = [x && w && x !== w ? `${x}/${w}` : (x ?? w ?? '')];
  const [workgroup, lanes, items] = ['WORKGROUP', 'LANES', 'ITEMS'].map((name) => constantOf(wgsl, name));
  if (workgroup) words.push(lanes ? `${workgroup}/${lanes}` : workgroup);
  if (items) words.push(`items ${items}`);
  for (const [name, mark] of marks) if (mark.test(wgsl)) words.push(name);
  return words.filter(Boolean).join(' ');
}

/** What a text shows of the choices that it was linked with. */
const marks: [string, RegExp][] = [
  ['scalar', /> (x|dy): array<(X|f32|f16)>/],
  ['portable', /^(?![\s\S]*\bsubgroup[A-Z])[\s\S]*var<workgroup>/],
  ['subgroups', /\bsubgroup[A-Z]\w*\(/],
  ['residual', /> residual: /],
  ['dsum', /> dsum: /],
  ['y', /> y: /],
  ['dx', /> dx: /],
  ['saves', /read_write> (mean|rstd): /],
  ['weight', /> weight: /],
  ['bias', /> bias: /],
  ['partials', /read_write> (partials|gradients): /],
  ['running', /> running_mean: /],
];
