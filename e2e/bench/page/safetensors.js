/** A golden file at core level: the inputs of `operands` and the expected y [1, length, width]. */
export function safetensors({ work, length, width, heads, causal, tolerance }, tensors) {
  const head = width / heads;
  const config = {
    attention: { d_model: width, heads, head_dim: head, batch: 1, length, causal, scale: 1 / Math.sqrt(head) },
    hyena: { d_model: width, order: 2, batch: 1, length, causal },
  }[work];
  const shapes = work === 'hyena' ? { x: [1, length, 3 * width], k: [1, width, length], bias: [1, width] } : {};
  const header = {
    __metadata__: {
      system: work,
      level: 'core',
      case: `bench_L${length}`,
      config: JSON.stringify(config),
      tolerance: JSON.stringify({ abs: tolerance, rel: 0 }),
    },
  };
  let offset = 0;
  for (const [name, data] of Object.entries(tensors)) {
    const end = offset + data.byteLength;
    header[name] = { dtype: 'F32', shape: shapes[name] ?? [1, length, width], data_offsets: [offset, end] };
    offset = end;
  }
  // The data starts at a multiple of eight bytes.
  const text = JSON.stringify(header);
  const words = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const bytes = new Uint8Array(8 + words.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(words.length), true);
  bytes.set(words, 8);
  let at = 8 + words.length;
  for (const data of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
