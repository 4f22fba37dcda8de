/**
 * TypeGPU on one device with this library: typed buffers and tensors share their GPUBuffers, without a copy.
 *
 * @packageDocumentation
 */
import type { StorageFlag, TgpuBuffer, TgpuRoot, ValidateBufferSchema } from 'typegpu';
import type { AnyData, BaseData, WgslArray } from 'typegpu/data';
import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type InitOptions, init } from '../gpu/init.ts';
import { checkKind } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { type DType, elementCount, sizesOf, type Tensor } from '../gpu/tensor.ts';

/** A typed buffer that shaders may bind as storage: `root.createBuffer(…).$usage('storage')`, `root.createMutable(…).buffer`. */
export type TypeGpuBuffer<Schema extends BaseData = BaseData> = TgpuBuffer<Schema> & StorageFlag;

/** What lies densely in an array: its dtype, and the sizes that it adds to the shape. Vectors of three are padded to four. */
const elements: Partial<Record<string, readonly [dtype: DType, ...sizes: number[]]>> = {
  f32: ['f32'],
  vec2f: ['f32', 2],
  vec4f: ['f32', 4],
  f16: ['f16'],
  vec2h: ['f16', 2],
  vec4h: ['f16', 4],
};

const dense = 'Use arrays of d.f32, d.vec2f, d.vec4f, d.f16, d.vec2h or d.vec4h, or arrays of such arrays.';

/**
 * A context on the device of a TypeGPU root, which stays the root's.
 *
 * @param root - of `tgpu.init()` or `tgpu.initFromDevice()`. TypeGPU's own shaders have f16 with
 * `tgpu.init({ device: { optionalFeatures: ['shader-f16'] } })`.
 * @throws NormError `value` if it is no root; `device-lost`.
 * @example
 * ```ts
 * const root = await tgpu.init();
 * const gpu = await initFromTypeGpu(root);
 * ```
 */
export async function initFromTypeGpu(
  root: TgpuRoot,
  options: Pick<InitOptions, 'facts'> = {},
): Promise<Gpu> {
  return init({ ...options, device: deviceOf(root) });
}

/**
 * A typed buffer as a tensor, on the same GPUBuffer: nothing is copied, and TypeGPU keeps the buffer as its own. The tensor is valid until
 * the buffer's `destroy()`. Both submit on one queue, in the order of your calls.
 *
 * @param buffer - an array of f32, vec2f, vec4f, f16, vec2h or vec4h, or arrays of such arrays, with the usage `storage`.
 * @param shape - as many elements as the schema has. Default: the sizes of the arrays and, after them, of the vector;
 * `d.arrayOf(d.arrayOf(d.vec4f, 16), 8)` has [8, 16, 4].
 * @throws NormError `buffer` if it is no typed buffer or lacks the usage `storage`; `destroyed`; `dtype` if the schema holds something else;
 * `shape` if the sizes differ; as {@link Gpu.wrap}, also for a buffer of another device.
 * @example
 * ```ts
 * const buffer = root.createBuffer(d.arrayOf(d.f32, 8 * 64)).$usage('storage');
 * const { y } = layerNorm(gpu, fromTypeGpu(gpu, buffer, [8, 64]), { normalizedShape: 64 });
 * ```
 */
export function fromTypeGpu<Schema extends BaseData>(
  gpu: Gpu,
  buffer: TypeGpuBuffer<Schema>,
  shape?: ArrayLike<number>,
): Tensor {
  checkContext(gpu);
  if (buffer?.resourceType !== 'buffer') {
    throw new NormError(
      'buffer',
      `fromTypeGpu: buffer is ${shown(buffer)}, which is no typed buffer.`,
      'Pass what root.createBuffer() returned; createMutable() and createReadonly() have theirs in `buffer`.',
    );
  }
  if (buffer.destroyed) {
    throw new NormError('destroyed', 'The typed buffer was destroyed.', 'Use it before destroying it.');
  }
  const { dtype, sizes } = layoutOf(buffer.dataType);
  const wanted = shape === undefined ? sizes : sizesOf(shape);
  checkSize(wanted, sizes, 'Give a shape of as many elements, or none.');
  gpu.checkDType(dtype);
  // Before `buffer.buffer` is read, which makes the GPUBuffer: its usages are settled from then on.
  if (!buffer.usableAsStorage) {
    throw new NormError(
      'buffer',
      'The typed buffer lacks the usage storage.',
      "Make it with root.createBuffer(schema).$usage('storage').",
    );
  }
  return gpu.wrap(buffer.buffer, wanted, { dtype });
}

/**
 * A tensor as a typed buffer with the usage `storage`, on the same GPUBuffer: nothing is copied, and the typed buffer's `destroy()` leaves
 * the tensor alone. Submit what writes the tensor before TypeGPU reads it.
 *
 * @param root - of the device that the tensor is on.
 * @param tensor - f32 or f16, of a buffer that is its own. TypeGPU has no bf16.
 * @param schema - an array of f32, vec2f, vec4f, f16, vec2h or vec4h, or arrays of such arrays, of the tensor's dtype and number of elements.
 * @throws NormError `dtype` or `shape` if the schema is another; `buffer` if the tensor does not start where its buffer does, or has an
 * odd number of f16 elements, since TypeGPU binds and copies multiples of four bytes; `wrong-device`; `destroyed`.
 * @example
 * ```ts
 * const { y } = layerNorm(gpu, x, { normalizedShape: 64 }); // [8, 64]
 * const values = await toTypeGpu(root, y, d.arrayOf(d.f32, 8 * 64)).read();
 * ```
 */
export function toTypeGpu<Schema extends WgslArray>(
  root: TgpuRoot,
  tensor: Tensor,
  schema: Schema,
): TypeGpuBuffer<Schema> {
  const device = deviceOf(root);
  checkKind('toTypeGpu', 'tensor', tensor, 'tensor');
  tensor.gpu.checkUsable(tensor);
  if (tensor.gpu.device !== device) {
    throw new NormError(
      'wrong-device',
      'The tensor is on another device than the root.',
      'Make its context with initFromTypeGpu(root).',
    );
  }
  const { dtype, sizes } = layoutOf(schema);
  if (dtype !== tensor.dtype) {
    throw new NormError('dtype', `The schema holds ${dtype}, the tensor ${tensor.dtype}.`, dense);
  }
  checkSize(tensor.shape, sizes, 'Give a schema of as many elements.');
  if (tensor.offset !== 0) {
    throw new NormError(
      'buffer',
      `The tensor starts at byte ${tensor.offset} of its buffer; typed buffers are whole buffers.`,
      'Copy it to a buffer of its own.',
    );
  }
  if (tensor.byteLength % 4 !== 0) {
    throw new NormError(
      'buffer',
      `The tensor has ${tensor.size} ${tensor.dtype} elements; TypeGPU takes an even number of them.`,
      'Add one to the last dimension.',
    );
  }
  const buffer = root.createBuffer(schema as ValidateBufferSchema<AnyData>, tensor.buffer);
  return buffer.$usage('storage' as never) as unknown as TypeGpuBuffer<Schema>;
}

function deviceOf(root: TgpuRoot): GPUDevice {
  if (root?.resourceType === 'root') return root.device;
  throw new NormError(
    'value',
    `root is ${shown(root)}, which is no root.`,
    'Pass what `await tgpu.init()` returned.',
  );
}

/** What an array schema holds. Throws `dtype` unless that is numbers of one dtype without gaps. */
function layoutOf(schema: BaseData): { dtype: DType; sizes: readonly number[] } {
  const sizes: number[] = [];
  let inner: BaseData | undefined = schema;
  while (inner?.type === 'array') {
    const { elementCount: count, elementType } = inner as WgslArray;
    sizes.push(count);
    inner = elementType;
  }
  const name = shown(inner?.type);
  const element = Object.hasOwn(elements, name) ? elements[name] : undefined;
  if (sizes.length === 0 || !element) {
    throw new NormError('dtype', `There is no tensor of the schema ${shown(schema)}.`, dense);
  }
  const [dtype, ...vector] = element;
  return { dtype, sizes: sizesOf([...sizes, ...vector], 'schema') };
}

function checkSize(shape: readonly number[], sizes: readonly number[], fix: string): void {
  const [wanted, held] = [elementCount(shape), elementCount(sizes)];
  if (wanted === held) return;
  throw new NormError(
    'shape',
    `Shape [${shape}] has ${wanted} elements, the schema [${sizes}] has ${held}.`,
    fix,
  );
}
