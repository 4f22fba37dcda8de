/**
 * ONNX models of one node or a few, written by hand: a model is a protobuf message (onnx.proto3 of github.com/onnx/onnx), and a
 * norm needs a dozen of its fields. Field numbers are those of onnx.proto3.
 */

export interface OnnxNode {
  opType: string;
  /** '' for ai.onnx. */
  domain: string;
  /** Opset of the domain. */
  opset: number;
  /** Graph inputs and initializers in the node's order; '' leaves an optional one out. */
  inputs: readonly string[];
  outputs: readonly string[];
  ints?: Readonly<Record<string, number>>;
  floats?: Readonly<Record<string, number>>;
}

export type OnnxDType = 'f32' | 'f16';

export interface OnnxModel {
  /** One, or several in an order in which each has what it needs. */
  node: OnnxNode | readonly OnnxNode[];
  /** Shapes by name, of inputs and of outputs ('' excluded). */
  inputs: Readonly<Record<string, readonly number[]>>;
  outputs: Readonly<Record<string, readonly number[]>>;
  /** Constant inputs, little-endian values in the dtype of the model. */
  initializers: Readonly<Record<string, { shape: readonly number[]; bytes: Uint8Array }>>;
  dtype: OnnxDType;
}

// A protobuf field is a tag (field number · 8 + wire type), then a varint (wire type 0), a length and that many bytes
// (2), or four bytes (5).
type Bytes = number[] | Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

function join(parts: readonly Bytes[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const integer = (field: number, value: number): Bytes => [...varint(field * 8), ...varint(value)];
const float = (field: number, value: number): Bytes =>
  join([varint(field * 8 + 5), new Uint8Array(new Float32Array([value]).buffer)]);
const bytes = (field: number, value: Bytes): Bytes =>
  join([varint(field * 8 + 2), varint(value.length), value]);
const text = (field: number, value: string): Bytes => bytes(field, new TextEncoder().encode(value));
const message = (field: number, ...parts: readonly Bytes[]): Bytes => bytes(field, join(parts));

const elementType = { f32: 1, f16: 10 } as const; // TensorProto.DataType
const floatAttribute = 1; // AttributeProto.AttributeType
const intAttribute = 2;

/** A ValueInfoProto: the name, element type and shape of a graph's input or output. */
function value(field: number, name: string, shape: readonly number[], dtype: OnnxDType): Bytes {
  const dims = shape.map((size) => message(1, integer(1, size)));
  return message(
    field,
    text(1, name),
    message(2, message(1, integer(1, elementType[dtype]), message(2, ...dims))),
  );
}

/** The fields of a NodeProto. */
function nodeFields(node: OnnxNode): Bytes[] {
  const attributes = [
    ...Object.entries(node.ints ?? {}).map(([name, i]) =>
      message(5, text(1, name), integer(3, i), integer(20, intAttribute)),
    ),
    ...Object.entries(node.floats ?? {}).map(([name, f]) =>
      message(5, text(1, name), float(2, f), integer(20, floatAttribute)),
    ),
  ];
  return [
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(4, node.opType),
    ...attributes,
    text(7, node.domain),
  ];
}

/** The serialized ModelProto. */
export function onnxModel({ node, inputs, outputs, initializers, dtype }: OnnxModel): Uint8Array {
  const nodes = [node].flat();
  const nodeProtos = nodes.map((one) => message(1, ...nodeFields(one)));
  const constants = Object.entries(initializers).map(([name, { shape, bytes: raw }]) =>
    message(
      5,
      ...shape.map((size) => integer(1, size)),
      integer(2, elementType[dtype]),
      text(8, name),
      bytes(9, raw),
    ),
  );
  const graph = message(
    7,
    ...nodeProtos,
    text(2, 'norm'),
    ...constants,
    ...Object.entries(inputs).map(([name, shape]) => value(11, name, shape, dtype)),
    ...Object.entries(outputs).map(([name, shape]) => value(12, name, shape, dtype)),
  );
  const opset = (domain: string, version: number) => message(8, text(1, domain), integer(2, version));
  const domains = new Map([['', 17], ...nodes.map((one) => [one.domain, one.opset] as const)]);
  const opsets = [...domains].map(([domain, version]) => opset(domain, version));
  return join([integer(1, 8), ...opsets, graph]); // IR version 8 goes with opset 17
}
