import type { Kernel } from '../gpu/program.ts';
import type { DType } from '../gpu/tensor.ts';
import { bindingOf, type Role, updated } from './roles.ts';
import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

/** What a kernel is assembled from. */
export interface Assembly {
  /** The kernel's own file, and the fragments it stands on beside params, statistics, lanes and storage, which all norms have. */
  main: ShaderSource;
  /**
   * The struct of its numbers. Default lib/params.wgsl. Null: the kernel is no norm, declares its uniform itself, and of
   * what norms have it gets lanes alone.
   */
  params?: ShaderSource | null;
  fragments: readonly ShaderSource[];
  dtype: DType;
  paramDtype: DType;
  /** Roles it reads and roles it writes: at most eight together, WebGPU's floor. */
  reads: readonly Role[];
  writes: readonly Role[];
  /** Values of its overrides. */
  constants: Readonly<Record<string, number | boolean>>;
  /** Quads in a lane's registers; the length of an array depends on it, so it cannot be an override. */
  items?: number;
  subgroups?: boolean;
}

/** The stem of a file under shaders/ or shaders/lib/, for keys and labels: `rows/forward_tile`, `moments`. */
export const nameOf = (source: ShaderSource): string => source.slice(3, source.indexOf('\n'));

/** Joins prelude, fragments and kernel into one WGSL module, named by everything that tells it from others. */
export function assemble(a: Assembly): Kernel {
  const constants: Record<string, number> = {};
  const settings: string[] = [];
  for (const [name, value] of Object.entries(a.constants)) {
    constants[name] = Number(value);
    settings.push(`${name}=${Number(value)}`);
  }
  const storage = a.dtype === 'f16' ? shaders.storageF16 : shaders.storageF32;
  const { params = shaders.params } = a;
  const norm = params === shaders.params ? [shaders.statistics] : [];
  const common = params ? [params, ...norm, shaders.lanes, storage] : [shaders.lanes];
  const fragments = [...common, ...a.fragments];
  const items = a.items === undefined ? [] : [`items=${a.items}`];
  const names = a.fragments.map(nameOf);
  const key = [nameOf(a.main), a.dtype, a.paramDtype, ...names, ...items, ...settings].join('.');
  return {
    key,
    code: () => [prelude(a), ...fragments, a.main].join('\n'),
    constants,
    bindings: [
      ...a.reads.map((role) => ({ role, binding: bindingOf[role], writes: false })),
      ...a.writes.map((role) => ({
        role,
        binding: bindingOf[role],
        writes: true,
        updates: updated.has(role),
      })),
    ],
  };
}

/** What must come first or cannot be an override: directives, element types, array lengths. */
function prelude({ dtype, paramDtype, items, subgroups }: Assembly): string {
  const lines: string[] = [];
  if (dtype === 'f16' || paramDtype === 'f16') lines.push('enable f16;');
  if (subgroups) lines.push('enable subgroups;');
  lines.push(`alias X = ${dtype};`, `alias X4 = vec4<${dtype}>;`);
  lines.push(`alias W = ${paramDtype};`, `alias W4 = vec4<${paramDtype}>;`);
  if (items !== undefined) lines.push(`const ITEMS = ${items}u;`);
  return `${lines.join('\n')}\n`;
}
