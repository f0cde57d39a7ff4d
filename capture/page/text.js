// @ts-check
// Measuring text for authors (`__hyperframes.pretext`): how many lines a text takes and how wide they are. The browser
// lays the text out in a box of its own, out of sight and of the page's style sheets, so that its answer is what the
// page will look like.

fleet.text = (() => {
  // Tall enough for any font size, so that lines are told apart by height alone.
  const LINE_PX = 10000;
  const RULES = `:host { all: initial; position: fixed; visibility: hidden; contain: layout style; }
    p { margin: 0; position: absolute; overflow-wrap: break-word; text-rendering: geometricPrecision; }`;

  /** @typedef {{whiteSpace?: string, wordBreak?: string, letterSpacing?: number}} Options */
  /** @typedef {{text: string, font: string, options: Options}} Prepared */
  /** What stands behind the handles that authors hold. @type {WeakMap<object, Prepared>} */
  const known = new WeakMap();

  /** @param {string} text @param {string} font as in CSS, e.g. "700 48px Inter" @param {Options} [options] */
  const prepare = (text, font, options = {}) => {
    const handle = Object.freeze({});
    known.set(handle, { text: String(text), font, options });
    return handle;
  };

  /** @template T @param {object} handle @param {string} width @param {(box: HTMLElement) => T} read @returns {T} */
  const measured = (handle, width, read) => {
    const prepared = known.get(handle);
    if (!prepared) throw new TypeError("pretext: pass what prepare() or prepareWithSegments() returned");
    const host = document.createElement("fleet-text");
    const root = host.attachShadow({ mode: "closed" });
    root.innerHTML = `<style>${RULES}</style><p></p>`;
    const box = /** @type {HTMLElement} */ (root.querySelector("p"));
    const { whiteSpace = "normal", wordBreak = "normal", letterSpacing = 0 } = prepared.options;
    Object.assign(box.style, { font: prepared.font, whiteSpace, wordBreak, width });
    Object.assign(box.style, { letterSpacing: `${letterSpacing}px`, lineHeight: `${LINE_PX}px` });
    box.textContent = prepared.text;
    document.documentElement.append(host);
    try {
      return read(box);
    } finally {
      host.remove();
    }
  };

  const lines = (/** @type {HTMLElement} */ box) => Math.round(box.getBoundingClientRect().height / LINE_PX);

  /** @param {HTMLElement} box @returns {number} */
  const widest = (box) => {
    const range = document.createRange();
    range.selectNodeContents(box);
    return Math.max(0, ...[...range.getClientRects()].map(({ width }) => width));
  };

  /** @param {object} handle @param {number} maxWidth @param {number} lineHeight both in px */
  const layout = (handle, maxWidth, lineHeight) => {
    const lineCount = measured(handle, `${maxWidth}px`, lines);
    return { lineCount, height: lineCount * lineHeight };
  };

  /** @param {object} handle @param {number} maxWidth */
  const measureLineStats = (handle, maxWidth) =>
    measured(handle, `${maxWidth}px`, (box) => ({ lineCount: lines(box), maxLineWidth: widest(box) }));

  /** @param {object} handle @returns {number} px on one line that never wraps */
  const measureNaturalWidth = (handle) => measured(handle, "max-content", widest);

  /** @param {string} text @param {string} font @param {Options} [options] */
  const prepareWithSegments = (text, font, options = {}) => {
    const whole = options.whiteSpace === "pre-wrap" ? String(text) : String(text).trim().replace(/\s+/g, " ");
    const segments = [...new Intl.Segmenter("en", { granularity: "word" }).segment(whole)].map((part) => part.segment);
    const kinds = segments.map((part) => (/^\s+$/.test(part) ? "space" : "text"));
    const widths = segments.map((part) => measureNaturalWidth(prepare(part, font, { ...options, whiteSpace: "pre" })));
    const handle = Object.freeze({ segments, kinds, widths });
    known.set(handle, { text: String(text), font, options });
    return handle;
  };

  return Object.freeze({ prepare, layout, prepareWithSegments, measureLineStats, measureNaturalWidth });
})();
