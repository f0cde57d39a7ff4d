// Gives family lists that scripts set the fonts of the bundle before any font of a host: on canvases and in styles.
// `primary`: what stands for a generic family. `last`: the family with the characters that others lack, or null.
function __fleetStacks(primary, last) {
  "use strict";
  const GENERIC =
    /^(?:sans-serif|serif|monospace|cursive|fantasy|system-ui|ui-sans-serif|ui-serif|ui-monospace|ui-rounded|emoji|math|fangsong|-apple-system|blinkmacsystemfont)$/i;
  const KEYWORD = /^(?:|inherit|initial|unset|revert|revert-layer)$/i;
  const ENTRIES = /(?:"[^"]*"|'[^']*'|\([^)]*\)|[^,"'(])+/g;
  const listed = (value) => {
    const names = (String(value).match(ENTRIES) ?? []).map((name) => name.trim());
    if (!names.length || (names.length === 1 && KEYWORD.test(names[0]))) return value;
    if (last && names.includes(JSON.stringify(last))) return value;
    const found = names.findIndex((name) => GENERIC.test(name));
    const at = found < 0 ? names.length : found;
    const added = [...(at === 0 ? [primary] : []), ...(last ? [last] : [])].map((name) => JSON.stringify(name));
    return [...names.slice(0, at), ...added, ...names.slice(at)].join(", ");
  };
  const SHORTHAND = /^(.*?(?:^|\s)[\d.]+(?:px|pt|em|rem|%|vw|vh|vmin|vmax)(?:\s*\/\s*[^\s]+)?\s+)(.+)$/is;
  const shorthand = (value) => {
    const parts = SHORTHAND.exec(String(value));
    return parts ? parts[1] + listed(parts[2]) : value;
  };
  const wrap = (owner, name, change) => {
    const found = owner && Object.getOwnPropertyDescriptor(owner, name);
    if (!found?.set) return;
    Object.defineProperty(owner, name, {
      ...found,
      set(value) {
        found.set.call(this, change(value));
      },
    });
  };
  for (const kind of ["CanvasRenderingContext2D", "OffscreenCanvasRenderingContext2D"]) {
    wrap(window[kind]?.prototype, "font", shorthand);
  }
  for (const owner of [CSSStyleDeclaration.prototype, window.CSSStyleProperties?.prototype]) {
    wrap(owner, "fontFamily", listed);
    wrap(owner, "font-family", listed);
    wrap(owner, "font", shorthand);
  }
  const { setProperty } = CSSStyleDeclaration.prototype;
  CSSStyleDeclaration.prototype.setProperty = function (name, value, ...rest) {
    const change = { "font-family": listed, font: shorthand }[String(name).toLowerCase()];
    return setProperty.call(this, name, change ? change(value) : value, ...rest);
  };
}
