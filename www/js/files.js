// Files: dropped and opened ones are read, after a check of their size; exports are saved, drawn as images, copied.
// Loaded on demand.

/** Most files in one drop, since more are probably a mistake. */
const MAX_FILES = 20;
/** Pixels per CSS pixel of an image, for print. */
const SCALE = 3;

/**
 * Passes each file's name and text to `take(name, text, size)`. The text is null where the file is too large, and
 * undefined where it cannot be read.
 */
export async function read(files, limit, take) {
  for (const file of [...files].slice(0, MAX_FILES)) {
    if (file.size > limit) {
      take(file.name, null, file.size);
      continue;
    }
    let text;
    try {
      text = decoded(new Uint8Array(await file.arrayBuffer()));
    } catch {
      // A folder, or a file that no longer exists.
    }
    take(file.name, text, file.size);
  }
}

/** A file's text: UTF-8, or UTF-16 where the file begins with a byte-order mark, as Windows programs write it. */
function decoded(bytes) {
  const [first, second] = bytes;
  const wide = first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff && 'utf-16be';
  return new TextDecoder(wide || 'utf-8').decode(bytes);
}

/** Accepts files dropped anywhere on the page, and marks the page while files are dragged over it. */
export function watch(limit, take) {
  const carries = ({ dataTransfer }) =>
    dataTransfer && ['Files', 'text/uri-list', 'text/plain'].some((type) => dataTransfer.types.includes(type));
  // Text that is dragged within the page, or into a field, is left to the field.
  let own = false;
  const mine = (event) => !own && carries(event) && !event.target?.closest?.('input, textarea, dialog');
  const show = (on) => document.documentElement.toggleAttribute('data-drop', on);
  addEventListener('dragstart', () => (own = true));
  addEventListener('dragend', () => (own = false));
  addEventListener('dragover', (event) => {
    if (!mine(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    show(true);
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) show(false);
  });
  addEventListener('drop', (event) => {
    show(false);
    if (!mine(event)) return;
    event.preventDefault();
    const { files } = event.dataTransfer;
    if (files.length > 0) {
      void read(files, limit, take);
      return;
    }
    const text = event.dataTransfer.getData('text/uri-list') || event.dataTransfer.getData('text/plain');
    take('', text.length > limit ? null : text, text.length);
  });
}

/** Saves text as a file. Throws where the browser refuses immediately. */
export function save(name, type, text) {
  saveBlob(name, new Blob([text], { type }));
}

function saveBlob(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The download holds its own reference by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** An SVG file as a PNG image. */
export async function png(svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth * SCALE;
  canvas.height = image.naturalHeight * SCALE;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no image came of it'))), 'image/png'),
  );
}

export async function savePng(name, svg) {
  saveBlob(name, await png(svg));
}

export async function copyPng(svg) {
  // Passes the promise, not its result: Safari requires the call within the click.
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': png(svg) })]);
}
