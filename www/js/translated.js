// Keeps the page's text up to date under a browser's translator. Translators replace each text node by a `font` element
// with the translation, but the page's module continues to write to the original, now invisible node. This script puts
// the original node back, empty, beside its translation. Once the page writes to it or removes it, the translation is
// removed, and the translator translates the new text.
//
// @ts-check

/** The page's texts by the element that shows their translation, with the words that were translated. */
const sources = /** @type {WeakMap<Node, {text: Text, words: string}>} */ (new WeakMap());
/** Translations by the page's text. */
const translations = /** @type {WeakMap<Node, ChildNode>} */ (new WeakMap());

/** @param {Node | null} node @returns {node is HTMLElement} */
const isTranslation = (node) => node instanceof HTMLElement && node.localName === 'font' && node.isConnected && !sources.has(node);

/** Watches everything within `root` from now on. @param {Node} root */
export function keepTranslated(root) {
  const observer = new MutationObserver((records) => {
    for (const record of records) {
      if (record.type === 'characterData') written(record.target);
      else for (const node of record.removedNodes) removed(node, record);
    }
    // Mutations caused by this script are discarded.
    observer.takeRecords();
  });

  /** Called when the page wrote to one of its texts. @param {Node} text */
  function written(text) {
    const translation = translations.get(text);
    if (!translation || /** @type {Text} */ (text).data === '') return;
    forget(text, translation);
    translation.remove();
  }

  /** @param {Node} node @param {MutationRecord} record */
  function removed(node, record) {
    if (node.isConnected) return;
    const source = sources.get(node);
    if (source) {
      replaced(node, source, record);
    } else if (node instanceof Text) {
      const translation = translations.get(node);
      if (translation) {
        // The page removed its text.
        forget(node, translation);
        translation.remove();
      } else if (node.data !== '') {
        const near = [...record.addedNodes, record.previousSibling, record.nextSibling];
        const font = near.find(isTranslation);
        if (font) adopt(node, /** @type {HTMLElement} */ (font));
      }
    }
  }

  /** Called when a translator replaced a text. @param {Text} text @param {HTMLElement} font */
  function adopt(text, font) {
    if (font.parentNode instanceof SVGElement) {
      // HTML elements are invisible in an SVG drawing.
      font.replaceWith(text);
      return;
    }
    font.before(text);
    link(text, font, text.data);
    text.data = '';
    observer.observe(text, { characterData: true });
  }

  /**
   * Called when a translation is gone: the translator shows the original again, or another translation.
   * @param {Node} translation @param {{text: Text, words: string}} source @param {MutationRecord} record
   */
  function replaced(translation, { text, words }, record) {
    forget(text, translation);
    if (!text.isConnected) return;
    const next = [...record.addedNodes].find((node) => node !== text && node.isConnected);
    if (next) link(text, /** @type {ChildNode} */ (next), words);
    else if (text.data === '') text.data = words;
  }

  observer.observe(root, { childList: true, subtree: true });
}

/** @param {Text} text @param {ChildNode} translation @param {string} words */
function link(text, translation, words) {
  sources.set(translation, { text, words });
  translations.set(text, translation);
}

/** @param {Node} text @param {Node} translation */
function forget(text, translation) {
  sources.delete(translation);
  translations.delete(text);
}
