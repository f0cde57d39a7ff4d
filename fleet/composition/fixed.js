// Text that only the browser's own style sheet makes fixed-width is smaller there: 13 px where other text has 16. A list
// that names a font ends that, so the sizes are read while the rule before this script says what a browser says.
(() => {
  "use strict";
  const RULE = /^:where\((?:code|kbd|pre|samp|tt)\b/;
  const sheets = [...document.styleSheets].filter(({ ownerNode }) => ownerNode?.hasAttribute("%MARK%"));
  const rule = sheets.flatMap((sheet) => [...sheet.cssRules]).find(({ selectorText }) => RULE.test(selectorText));
  const elements = [...document.querySelectorAll("code, kbd, pre, samp, tt")];
  if (!rule) return;
  const size = (element) => getComputedStyle(element).fontSize;
  const family = rule.style.fontFamily;
  rule.style.fontFamily = "monospace";
  const sizes = elements.map(size);
  rule.style.fontFamily = family;
  elements.forEach((element, index) => {
    if (size(element) !== sizes[index]) element.style.fontSize = sizes[index];
  });
})();
