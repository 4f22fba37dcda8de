// Operands that are not dense: where their elements lie.
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { inQuads, isInjective, operandLayout, type StridedLayout } from '../gpu/layout.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';

type Placed = Pick<Tensor, 'shape' | 'strides'>;

type Tensors = Readonly<Record<string, Tensor | undefined>>;

/** The layouts of the operands by role; undefined where all are dense. */
export function layoutsOf(gpu: Gpu, operands: Tensors): Record<string, StridedLayout> | undefined {
  const layouts: Record<string, StridedLayout> = {};
  for (const [role, tensor] of Object.entries(operands)) {
    const layout = tensor && operandLayout(tensor, gpu.facts.offsetAlignment);
    if (layout) layouts[role] = layout;
  }
  return Object.keys(layouts).length > 0 ? layouts : undefined;
}

/** The schedule of a pass over such operands: quads are loaded as one where they are quads of every buffer. */
export function scheduleStrided(
  layouts: Record<string, StridedLayout> | undefined,
  schedule: ScheduleOptions | undefined,
): ScheduleOptions | undefined {
  if (!layouts || Object.values(layouts).every(inQuads)) return schedule;
  return { ...schedule, vec4: false };
}

/** Throws `aliasing` if two indices of an output have one element. */
export function checkInjective(outputs: Readonly<Record<string, Placed | undefined>>): void {
  for (const [name, tensor] of Object.entries(outputs)) {
    if (!tensor?.strides || isInjective(tensor.shape, tensor.strides)) continue;
    throw new NormError(
      'aliasing',
      `${name} has strides [${tensor.strides}] with shape [${tensor.shape}]: two of its indices may be one element.`,
      'Give an output strides that keep its elements apart.',
    );
  }
}
