// Loads the faces of the style sheet before this script at once, from the data in it: by a rule, a browser begins to
// decode a face when text first asks for it, and what a script measures meanwhile has the widths of another font.
(function () {
  "use strict";
  const sheet = document.currentScript?.previousElementSibling?.sheet;
  const found = [];
  for (let index = (sheet?.cssRules.length ?? 0) - 1; index >= 0; index -= 1) {
    const rule = sheet.cssRules[index];
    const data = rule instanceof CSSFontFaceRule && /;base64,([^"')]+)/.exec(rule.style.getPropertyValue("src"));
    if (!data) continue;
    const said = (name, usual) => rule.style.getPropertyValue(name) || usual;
    const bytes = Uint8Array.from(atob(data[1]), (letter) => letter.charCodeAt(0));
    const face = new FontFace(said("font-family", "").replace(/^(["'])(.*)\1$/s, "$2"), bytes, {
      weight: said("font-weight", "normal"),
      style: said("font-style", "normal"),
      unicodeRange: said("unicode-range", "U+0-10FFFF"),
      display: "block",
    });
    if (face.status !== "loaded") continue; // the rule says what is wrong with it
    found.unshift(face);
    sheet.deleteRule(index);
  }
  found.forEach((face) => document.fonts.add(face));
})();
