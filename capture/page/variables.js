// @ts-check
// Composition variables: `__hyperframes.getVariables()`, CSS custom properties, and `data-var-text` / `data-var-src`.
// Sub-compositions get theirs from `__hfVariablesByComp`, which the compiled document fills before their scripts run.

fleet.variables = (() => {
  /** @typedef {Record<string, unknown>} Values */

  /** @param {string | null} text @returns {any} */
  const parse = (text) => {
    try {
      return JSON.parse(text || "null");
    } catch {
      return null;
    }
  };

  /** @param {unknown} value @returns {Values} */
  const record = (value) =>
    value && typeof value === "object" && !Array.isArray(value) ? /** @type {Values} */ (value) : {};

  /** Defaults declared on one element. @param {Element} element @returns {Values} */
  const declared = (element) => {
    const list = parse(element.getAttribute("data-composition-variables"));
    /** @type {Values} */
    const values = {};
    for (const entry of Array.isArray(list) ? list : []) {
      if (entry && typeof entry.id === "string" && "default" in entry) values[entry.id] = entry.default;
    }
    return values;
  };

  // <html> comes first in document order, so that later declarers override it.
  const declarers = () => [...document.querySelectorAll("[data-composition-variables]")];
  const overrides = () => record(window.__hfVariables);
  /** @returns {Values} */
  const topLevel = () => Object.assign({}, ...declarers().map(declared), overrides());

  /** @param {Element} element @returns {Values} */
  const valuesFor = (element) => {
    const id = element.closest("[data-composition-id]")?.getAttribute("data-composition-id") ?? "";
    return record(window.__hfVariablesByComp)[id] ? record(record(window.__hfVariablesByComp)[id]) : topLevel();
  };

  /** @param {string} id */
  const slug = (id) =>
    `--${id
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")}`;

  /** A value as CSS: scalars, and the family name of a font. @param {unknown} value @returns {string} */
  const css = (value) => {
    const plain = value && typeof value === "object" ? /** @type {any} */ (value).name : value;
    // These characters could end the declaration that the value is substituted into.
    return ["string", "number", "boolean"].includes(typeof plain) ? String(plain).replace(/[;{}<>\r\n]/g, "") : "";
  };

  /** Defaults yield to what the author's CSS defines; overrides win. @param {Element} element @param {Values} values */
  const define = (element, values) => {
    if (!(element instanceof HTMLElement)) return;
    const forced = overrides();
    for (const [id, value] of Object.entries(values)) {
      const text = css(id in forced ? forced[id] : value);
      const isTaken = getComputedStyle(element).getPropertyValue(slug(id)).trim() !== "";
      if (text && (id in forced || !isTaken)) element.style.setProperty(slug(id), text);
    }
  };

  /** @param {Element} element */
  const defineById = (element) => {
    if (!(element instanceof HTMLElement)) return;
    for (const [id, value] of Object.entries(valuesFor(element))) {
      if (css(value)) element.style.setProperty(`--${id}`, css(value));
    }
  };

  /** Replaces the element's own text; child elements stay. @param {Element} element @param {string} text */
  const setOwnText = (element, text) => {
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const first = texts[0] ?? element.insertBefore(document.createTextNode(""), element.firstChild);
    for (const node of texts) node.nodeValue = "";
    first.nodeValue = text;
  };

  /** @param {Element} element */
  const bindText = (element) => {
    const value = valuesFor(element)[element.getAttribute("data-var-text") ?? ""];
    if (["string", "number", "boolean"].includes(typeof value)) setOwnText(element, String(value));
  };

  /** @param {Element} element */
  const bindSource = (element) => {
    const value = valuesFor(element)[element.getAttribute("data-var-src") ?? ""];
    const url = typeof value === "string" ? value : record(value).url;
    const isSafe = typeof url === "string" && url && !/^\s*(javascript|vbscript|data:text)/i.test(url);
    if (isSafe && /^(img|video|audio|source)$/i.test(element.tagName)) element.setAttribute("src", String(url));
  };

  /** Writes every binding into the document; may be repeated after content was mounted. */
  const apply = () => {
    for (const element of declarers()) define(element, declared(element));
    const top = document.querySelector("[data-hf-root]") ?? document.getElementById("stage");
    const roots = [top ?? document.body?.firstElementChild, ...document.querySelectorAll("[data-composition-id]")];
    for (const element of new Set(roots)) if (element) defineById(element);
    document.querySelectorAll("[data-var-text]").forEach(bindText);
    document.querySelectorAll("[data-var-src]").forEach(bindSource);
  };

  return Object.freeze({ apply, declared, define, getVariables: topLevel, parse, record });
})();
