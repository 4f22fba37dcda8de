/** The fields of `struct Params` in shaders/lib/params.wgsl, in order. Twenty words. */
export const paramFields = [
  'samples',
  'positions',
  'channels',
  'inner',
  'groups',
  'rows',
  'cols',
  'slots',
  'slot_length',
  'rounds',
  'block',
  'mask',
  'count',
  'eps',
  'momentum',
  'first_element',
  'first_set',
  'first_col',
  'span',
  'first_run',
] as const;

export type ParamField = (typeof paramFields)[number];

/** Those that are f32; the others are u32. */
export const floatFields: ReadonlySet<ParamField> = new Set(['count', 'eps', 'momentum']);

/** The bytes of a Params; absent fields are 0, `mask` is all ones. */
export function packParams(values: Partial<Record<ParamField, number>>): ArrayBuffer {
  return packFields(paramFields, floatFields, values);
}

/** The bytes of a struct of numbers with these fields; absent ones are 0, `mask` is all ones. */
export function packFields<Field extends string>(
  fields: readonly Field[],
  floats: ReadonlySet<Field>,
  values: Partial<Record<Field, number>>,
): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(4 * fields.length));
  fields.forEach((field, index) => {
    const value = field === 'mask' ? 0xffffffff : (values[field] ?? 0);
    if (floats.has(field)) view.setFloat32(4 * index, value, true);
    else view.setUint32(4 * index, value, true);
  });
  return view.buffer;
}
