// Files in and out: dropped and opened ones are read, capped before they are read; exports are saved, drawn as images,
// copied. Loaded when the page asks for it.

/** Most files of one drop: more is a mistake. */
const MAX_FILES = 20;
/** Pixels per CSS pixel of an image, for print. */
const SCALE = 3;

/**
 * Gives each file's name and text to `take(name, text, size)`; text is null where it is too large, and undefined where
 * it can't be read.
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
      // A folder, or a file that is gone.
    }
    take(file.name, text, file.size);
  }
}

/** A file's text: UTF-8, or UTF-16 where the file begins with its mark, as programs on Windows write it. */
function decoded(bytes) {
  const [first, second] = bytes;
  const wide = first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff && 'utf-16be';
  return new TextDecoder(wide || 'utf-8').decode(bytes);
}

/** Takes what is dropped anywhere on the page; the page shows that it would while something is dragged over it. */
export function watch(limit, take) {
  const carries = ({ dataTransfer }) =>
    dataTransfer && ['Files', 'text/uri-list', 'text/plain'].some((type) => dataTransfer.types.includes(type));
  // Text that is dragged within the page, or into a field, is the field's.
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

/** Saves text under a name. Throws where the browser says at once that it won't. */
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
  // The download has its own reference by then.
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
  // The promise goes in, not its result: Safari wants to be asked within the click.
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': png(svg) })]);
}
