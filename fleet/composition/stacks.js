// Gives family lists that scripts set the fonts of the bundle before any font of a host: on canvases and in styles.
// `standIns`: by generic family, what machines show for it, and by "" for a list in which they know none.
// `last`: the family with the characters that others lack, or null.
function __fleetStacks(standIns, last) {
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
    // Browsers pass over generic families of other systems.
    const known = names.findIndex((name) => Object.hasOwn(standIns, name.toLowerCase()));
    const at = found < 0 ? names.length : found === 0 ? Math.max(0, known) : found;
    const own = found === 0 ? [standIns[known < 0 ? "" : names[known].toLowerCase()]] : [];
    const added = [...own, ...(last ? [last] : [])].map((name) => JSON.stringify(name));
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
  if (!last) return;

  // Chromium answers for the properties of a style by interception, so there is no setter to wrap. What is observed
  // here is mended before anything is painted.
  const mend = (element) => {
    const written = element.style?.fontFamily;
    if (!written || written.includes(last)) return;
    const changed = listed(written);
    if (changed !== written) {
      element.style.setProperty("font-family", changed, element.style.getPropertyPriority("font-family"));
    }
  };
  const mendAll = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.hasAttribute("style")) mend(node);
    node.querySelectorAll("[style]").forEach(mend);
  };
  new MutationObserver((records) => {
    for (const record of records) {
      if (record.type === "attributes") mend(record.target);
      else record.addedNodes.forEach(mendAll);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["style"] });
}
