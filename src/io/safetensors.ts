import { NormError } from '../gpu/errors.ts';
import { isKeyOf } from '../gpu/keys.ts';
import { shown } from '../gpu/shown.ts';
import { elementCount } from '../gpu/tensor.ts';
import { type HostDType, type HostTensor, holders } from './host-tensor.ts';
import { duplicateKey } from './json-keys.ts';
import { StateDict } from './state-dict.ts';

// The format: the header's length as a u64, the header (JSON, padded with spaces), then the data of the tensors without
// gaps, all little-endian, as every platform of WebGPU is. https://github.com/huggingface/safetensors

/** As the reference implementation: more is taken for an attack. */
const mostHeaderBytes = 100_000_000;
const metadataKey = '__metadata__';
const versionsKey = 'state_dict_versions';

/** Bits of an element of the format's other dtypes, which no typed array holds: they are skipped. */
const skippedBits: Readonly<Record<string, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E4M3: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  C64: 64,
};

/** How zip archives begin, and with them the files of torch.save. */
const zip = [0x50, 0x4b, 0x03, 0x04];

interface Entry {
  name: string;
  /** Undefined for what is skipped. */
  dtype: HostDType | undefined;
  stated: string;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Writes a safetensors file.
 *
 * @param tensors - names and tensors. Those of a {@link StateDict} keep its `versions`.
 * @param metadata - what else to say, text by text.
 * @throws NormError `value` (a name twice, or `__metadata__`), `dtype`, `shape` (not as long as its data).
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = entriesOf(tensors);
  checkMetadata(metadata);
  const names = new Set<string>();
  for (const [name, tensor] of entries) {
    checkTensor(name, tensor);
    if (names.has(name) || name === metadataKey) {
      throw new NormError(
        'value',
        `"${name}" cannot name a tensor${names.has(name) ? ' twice' : ''}.`,
        'Rename it.',
      );
    }
    names.add(name);
  }
  // The widest first: then every tensor is aligned to its elements.
  const width = ([, { data }]: readonly [string, HostTensor]) => data.BYTES_PER_ELEMENT;
  const placed = [...entries].sort((a, b) => width(b) - width(a));
  const begins = new Map<string, number>();
  let dataBytes = 0;
  for (const [name, { data }] of placed) {
    begins.set(name, dataBytes);
    dataBytes += data.byteLength;
  }
  const versions = tensors instanceof StateDict && tensors.versions.size > 0 ? tensors.versions : undefined;
  const said = {
    ...metadata,
    ...(versions && { [versionsKey]: JSON.stringify(Object.fromEntries(versions)) }),
  };
  // Joined by hand: an object would put names that are integers first.
  const fields = Object.keys(said).length > 0 ? [`"${metadataKey}":${JSON.stringify(said)}`] : [];
  for (const [name, { dtype, shape, data }] of entries) {
    const begin = begins.get(name) as number;
    const entry = { dtype: dtype.toUpperCase(), shape, data_offsets: [begin, begin + data.byteLength] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const header = new TextEncoder().encode(`{${fields.join(',')}}`);
  const headerBytes = Math.ceil(header.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + dataBytes);
  new DataView(file.buffer).setUint32(0, headerBytes, true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(header, 8);
  for (const [name, { data }] of placed) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    file.set(bytes, 8 + headerBytes + (begins.get(name) as number));
  }
  return file;
}

/**
 * Reads a safetensors file, as {@link encodeSafetensors} or Python's safetensors writes it. The tensors are views of
 * `bytes` where those are aligned to their elements, else copies. Those of the dtypes F4, F6, F8 and C64 are left out and
 * named in `unsupported`.
 *
 * @returns the tensors in the header's order, with `versions` where the file has them, and its `metadata`.
 * @throws NormError `format` unless header and data agree in every point, before anything of a size that the header
 * states is allocated.
 */
export function decodeSafetensors(bytes: ArrayBuffer | Uint8Array): StateDict<HostTensor> {
  const isBuffer = Object.prototype.toString.call(bytes) === '[object ArrayBuffer]';
  if (!(bytes instanceof Uint8Array || isBuffer)) {
    throw new NormError(
      'format',
      `decodeSafetensors takes the bytes of a file, not ${shown(bytes)}.`,
      'Pass an ArrayBuffer or a Uint8Array, such as `await response.arrayBuffer()`.',
    );
  }
  const file = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  if (zip.every((byte, i) => file[i] === byte)) {
    throw new NormError(
      'format',
      'This is a zip archive, such as torch.save writes (.pt, .pth), and no safetensors file.',
      'Convert it with scripts/pytorch_state.py of this library, or save it with safetensors.torch.save_file.',
    );
  }
  if (file.length < 8) refuse(`it has ${file.length} bytes`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerBytes = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (headerBytes > mostHeaderBytes) refuse(`its header claims ${headerBytes} bytes`);
  if (headerBytes > file.length - 8) {
    refuse(`its header claims ${headerBytes} bytes, the file has ${file.length}`);
  }
  const header = parseHeader(file.subarray(8, 8 + headerBytes));
  const dict = new StateDict<HostTensor>();
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) dict.metadata = metadataOf(value);
    else entries.push(entryOf(name, value));
  }
  checkOffsets(entries, file.length - 8 - headerBytes);
  for (const [module, version] of versionsOf(dict.metadata)) dict.versions.set(module, version);
  const start = file.byteOffset + 8 + headerBytes;
  for (const { name, dtype, stated, shape, begin, end } of entries) {
    if (!dtype) {
      dict.unsupported.set(name, stated);
      continue;
    }
    const Holder = holders[dtype];
    const aligned = (start + begin) % Holder.BYTES_PER_ELEMENT === 0;
    const buffer = aligned ? file.buffer : file.buffer.slice(start + begin, start + end);
    const data = new Holder(buffer, aligned ? start + begin : 0, (end - begin) / Holder.BYTES_PER_ELEMENT);
    dict.set(name, { dtype, shape, data });
  }
  return dict;
}

/** What can be walked through as entries, as a list. */
function entriesOf(tensors: Iterable<readonly [string, HostTensor]>): (readonly [string, HostTensor])[] {
  let entries: (readonly [string, HostTensor])[] | undefined;
  try {
    entries = [...tensors];
  } catch {} // it is nothing of the kind
  if (entries?.every((entry) => Array.isArray(entry) && typeof entry[0] === 'string')) return entries;
  throw new NormError(
    'value',
    `${shown(tensors)} is no list of names and tensors.`,
    'Pass a Map of tensors by name, or Object.entries(tensors).',
  );
}

/** @internal Throws `value` unless it is texts by name. */
export function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  if (isObject(metadata) && Object.values(metadata).every((text) => typeof text === 'string')) return;
  throw new NormError('value', `The metadata are ${shown(metadata)}.`, 'Pass an object of texts.');
}

function checkTensor(name: string, tensor: HostTensor): void {
  const { dtype, shape, data } = (tensor ?? {}) as HostTensor;
  const Holder = isKeyOf(holders, dtype) ? holders[dtype] : undefined;
  if (!Holder || !(data instanceof Holder)) {
    throw new NormError(
      'dtype',
      `The data of "${name}" is no ${Holder?.name ?? shown(dtype)}.`,
      'Convert it.',
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize) || elementCount(shape) !== data.length) {
    throw new NormError(
      'shape',
      `"${name}" of shape ${shown(shape)} has ${data.length} elements.`,
      'Match them.',
    );
  }
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== 0x7b) refuse('its header does not begin with {');
  let header: unknown;
  let text = '';
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    refuse('its header is no JSON', cause);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) refuse(`its header has the key "${twice}" twice`);
  return header as Record<string, unknown>;
}

function entryOf(name: string, value: unknown): Entry {
  if (!isObject(value)) refuse(`"${name}" is no tensor`);
  const { dtype: stated, shape, data_offsets: offsets } = value;
  const known = typeof stated === 'string' ? (stated.toLowerCase() as HostDType) : undefined;
  const dtype = known && stated !== known && Object.hasOwn(holders, known) ? known : undefined;
  if (typeof stated !== 'string' || !(dtype || Object.hasOwn(skippedBits, stated))) {
    refuse(`"${name}" is of the unknown dtype ${JSON.stringify(stated)}`);
  }
  const bits = dtype ? 8 * holders[dtype].BYTES_PER_ELEMENT : (skippedBits[stated] as number);
  if (!Array.isArray(shape) || !shape.every(isSize)) refuse(`the shape of "${name}" is no list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    refuse(`the data_offsets of "${name}" are no two sizes`);
  }
  const [begin, end] = offsets as [number, number];
  const needed = (elementCount(shape) * bits) / 8;
  // Beyond 2^53 products are inexact, but so large that no file agrees.
  if (end - begin !== needed) refuse(`"${name}" of shape [${shape}] is not ${end - begin} bytes long`);
  return { name, dtype, stated, shape, begin, end };
}

/** The tensors fill the data: no gap, no overlap, nothing left. */
function checkOffsets(entries: readonly Entry[], dataBytes: number): void {
  let filled = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== filled) refuse(`"${name}" begins at byte ${begin}, the tensor before it ends at ${filled}`);
    filled = end;
  }
  if (filled !== dataBytes) refuse(`its tensors take ${filled} bytes, the file has ${dataBytes} for them`);
}

function metadataOf(value: unknown): Record<string, string> {
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    refuse('its metadata are not texts');
  }
  return value as Record<string, string>;
}

function versionsOf(metadata: Readonly<Record<string, string>>): [string, number][] {
  if (!Object.hasOwn(metadata, versionsKey)) return [];
  let versions: unknown;
  try {
    versions = JSON.parse(metadata[versionsKey] as string);
  } catch (cause) {
    refuse(`its ${versionsKey} are no JSON`, cause);
  }
  if (!isObject(versions) || !Object.values(versions).every(isSize)) {
    refuse(`its ${versionsKey} are no numbers by module`);
  }
  return Object.entries(versions) as [string, number][];
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function refuse(reason: string, cause?: unknown): never {
  throw new NormError('format', `This is no safetensors file: ${reason}.`, 'Write it again.', cause);
}
