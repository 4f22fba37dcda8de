import cast from '../../shaders/kernels/convert/cast.wgsl';
import castPacked from '../../shaders/kernels/convert/cast_packed.wgsl';
import { byteSize, type DType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { alignUp, type Program, type Step } from '../gpu/program.ts';
import { bindableBytes } from '../plan/chunks.ts';
import { mostWorkgroups } from '../plan/grid.ts';
import { isPacked, kernelOf, stepOf, storageChoices } from './step.ts';

const workgroup = 64;

/** The dispatches that convert `size` elements. Roles: x in, y out. */
export function castProgram(size: number, from: DType, to: DType, facts: DeviceFacts): Program {
  const packed = isPacked(from, facts) || isPacked(to, facts);
  const each = packed ? 2 : 1;
  const choices = { ...storageChoices(from, to, facts), WORKGROUP: workgroup };
  const kernel = kernelOf(packed ? castPacked : cast, choices);
  const widest = Math.max(byteSize(from), byteSize(to));
  // Every part begins at an aligned offset in both tensors: they have at least two bytes per element.
  const bindable = Math.min(bindableBytes(widest, facts), mostWorkgroups(facts) * workgroup * widest);
  const units = Math.max(1, Math.floor(bindable / (widest * facts.offsetAlignment)));
  const most = units * facts.offsetAlignment;
  const steps: Step[] = [];
  for (let first = 0; first < size; first += most) {
    const count = Math.min(most, size - first);
    const range = (dtype: DType) => ({
      offset: first * byteSize(dtype),
      size: alignUp(count * byteSize(dtype), 4),
    });
    steps.push(
      stepOf(kernel, {
        numbers: { cols: count },
        ranges: { x: range(from), y: range(to) },
        workgroups: Math.ceil(count / (workgroup * each)),
      }),
    );
  }
  return { steps, scratch: {} };
}
