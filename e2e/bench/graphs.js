// The graphs for ONNX Runtime Web: attention of batch 1 and any length, with q, k, v and y of shape [1, L, width]; one token's
// attention with the keys and values of P earlier tokens; and products of [size, size] by weights in the graph.

import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { product as operandsOf } from './page/problem.js';

const schema = protobuf.loadSync(fileURLToPath(new URL('onnx.proto', import.meta.url)));
const ModelProto = schema.lookupType('onnx.ModelProto');

// Values of ONNX's enumerations.
const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
const ATTRIBUTE = { f: 1, i: 2, ints: 7 };

const attribute = (name, kind, value) => ({ name, [kind]: value, type: ATTRIBUTE[kind] });
const node = (opType, input, output, attributes = [], domain = '') => ({
  opType,
  input,
  output: [output].flat(),
  name: [output].flat()[0],
  attribute: attributes,
  domain,
});
const value = (name, dims, elemType = FLOAT) => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: dims.map((dim) => (typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim })) },
    },
  },
});

function model(inputs, outputs, nodes, initializer) {
  return ModelProto.encode(
    ModelProto.fromObject({
      irVersion: 8,
      producerName: 'crossover',
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: { name: 'y', node: nodes, initializer, input: inputs, output: [outputs].flat() },
    }),
  ).finish();
}

const operands = (width) => ['q', 'k', 'v'].map((name) => value(name, [1, 'L', width]));

/** matmul, softmax, matmul; the causal graph has an input `mask` [L, L], which is added to the scores. */
function plain({ width, heads, causal }) {
  const head = width / heads;
  const split = (name, perm) => [
    node('Reshape', [name, 'split'], `${name}_heads`),
    node('Transpose', [`${name}_heads`], `${name}_t`, [attribute('perm', 'ints', perm)]),
  ];
  const nodes = [
    ...split('q', [0, 2, 1, 3]),
    ...split('k', [0, 2, 3, 1]),
    ...split('v', [0, 2, 1, 3]),
    // The queries are scaled rather than the scores, since they are fewer.
    node('Mul', ['q_t', 'scale'], 'q_scaled'),
    node('MatMul', ['q_scaled', 'k_t'], 'scores'),
    ...(causal ? [node('Add', ['scores', 'mask'], 'masked')] : []),
    node('Softmax', [causal ? 'masked' : 'scores'], 'weights', [attribute('axis', 'i', -1)]),
    node('MatMul', ['weights', 'v_t'], 'mixed'),
    node('Transpose', ['mixed'], 'mixed_t', [attribute('perm', 'ints', [0, 2, 1, 3])]),
    node('Reshape', ['mixed_t', 'join'], 'y'),
  ];
  const inputs = operands(width);
  if (causal) inputs.push(value('mask', ['L', 'L']));
  return model(inputs, value('y', [1, 'L', width]), nodes, [
    { name: 'split', dims: [4], dataType: INT64, int64Data: [1, -1, heads, head] },
    { name: 'join', dims: [3], dataType: INT64, int64Data: [1, -1, width] },
    { name: 'scale', dims: [1], dataType: FLOAT, floatData: [1 / Math.sqrt(head)] },
  ]);
}

/** ONNX Runtime's fused operator. */
function fused({ width, heads, causal }) {
  const attributes = [attribute('num_heads', 'i', heads), attribute('unidirectional', 'i', causal ? 1 : 0)];
  const nodes = [node('MultiHeadAttention', ['q', 'k', 'v'], 'y', attributes, 'com.microsoft')];
  return model(operands(width), value('y', [1, 'L', width]), nodes, []);
}

/** Attention of one token, and the caches with its key and value appended, as generation with past keys and values uses it. */
function step(operator, { width, heads }) {
  const head = width / heads;
  const cache = (name, length) => value(name, [1, heads, length, head]);
  const token = ['q', 'k', 'v'].map((name) => value(name, [1, 1, width]));
  const past = ['past_key', 'past_value'].map((name) => cache(name, 'P'));
  const outputs = [value('y', [1, 1, width]), cache('present_key', 'T'), cache('present_value', 'T')];
  const names = outputs.map(({ name }) => name);
  if (operator === 'gqa') {
    const sizes = [value('seqlens_k', [1], INT32), value('total_sequence_length', [1], INT32)];
    const given = [...token, ...past, ...sizes].map(({ name }) => name);
    const attributes = [attribute('num_heads', 'i', heads), attribute('kv_num_heads', 'i', heads)];
    const nodes = [node('GroupQueryAttention', given, names, attributes, 'com.microsoft')];
    return model([...token, ...past, ...sizes], outputs, nodes, []);
  }
  const given = ['q', 'k', 'v', '', '', '', 'past_key', 'past_value'];
  const nodes = [node('MultiHeadAttention', given, names, [attribute('num_heads', 'i', heads)], 'com.microsoft')];
  return model([...token, ...past], outputs, nodes, []);
}

function product(size) {
  const { weights } = operandsOf(size);
  return model([value('x', [size, size])], value('y', [size, size]), [node('MatMul', ['x', 'weights'], 'y')], [
    { name: 'weights', dims: [size, size], dataType: FLOAT, rawData: new Uint8Array(weights.buffer) },
  ]);
}

/** Registers all graphs with the server, for the pages to fetch. `sizes` are those of the products. */
export function provide(server, sizes) {
  for (const causal of [false, true]) {
    server.put(`graph-plain-${causal}`, plain({ width: 256, heads: 4, causal }));
    server.put(`graph-fused-${causal}`, fused({ width: 256, heads: 4, causal }));
  }
  for (const operator of ['mha', 'gqa']) server.put(`graph-step-${operator}`, step(operator, { width: 256, heads: 4 }));
  for (const size of sizes) server.put(`graph-product-${size}`, product(size));
}
