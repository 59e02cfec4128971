// Just enough of the ONNX format (protobuf, onnx.proto3) to write the one graph that the benchmark needs.

const utf8 = new TextEncoder();

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

const int = (field, value) => [...varint((field << 3) | 0), ...varint(value)];
const bytes = (field, content) => [...varint((field << 3) | 2), ...varint(content.length), ...content];
const string = (field, text) => bytes(field, [...utf8.encode(text)]);
const float = (field, value) => [...varint((field << 3) | 5), ...new Uint8Array(new Float32Array([value]).buffer)];

const FLOAT = 1;
const attribute = { float: 1, int: 2 };

/** A tensor of floats with a fixed shape, as an input or output of a graph. */
const tensor = (name, shape) => {
  const dimensions = shape.flatMap((size) => bytes(1, int(1, size)));
  return [...string(1, name), ...bytes(2, bytes(1, [...int(1, FLOAT), ...bytes(2, dimensions)]))];
};

/** ONNX Runtime's own fused operator, the fastest attention that it has: `[batch, length, width]` in and out. */
export function multiHeadAttention({ batch, length, width, heads }) {
  const attributes = [
    [...string(1, 'num_heads'), ...int(3, heads), ...int(20, attribute.int)],
    [...string(1, 'scale'), ...float(2, 1 / Math.sqrt(width / heads)), ...int(20, attribute.float)],
  ];
  const node = [
    ...['q', 'k', 'v'].flatMap((name) => string(1, name)),
    ...string(2, 'y'),
    ...string(4, 'MultiHeadAttention'),
    ...attributes.flatMap((content) => bytes(5, content)),
    ...string(7, 'com.microsoft'),
  ];
  const shape = [batch, length, width];
  const graph = [
    ...bytes(1, node),
    ...string(2, 'attention'),
    ...['q', 'k', 'v'].flatMap((name) => bytes(11, tensor(name, shape))),
    ...bytes(12, tensor('y', shape)),
  ];
  const operators = [['', 17], ['com.microsoft', 1]].flatMap(([domain, version]) => bytes(8, [...string(1, domain), ...int(2, version)]));
  return new Uint8Array([...int(1, 8), ...bytes(7, graph), ...operators]);
}
