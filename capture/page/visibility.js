// @ts-check
// Shows each timed element inside its own window and inside those of its timed ancestors; ends are exclusive.
// Keyed on `data-start`; the class `clip` means nothing here.

fleet.visibility = (() => {
  /** @typedef {ReturnType<typeof fleet.timing.resolver>} Resolver */

  const GRID_TOLERANCE_FRAMES = 1e-3;
  const END_TOLERANCE_S = 1e-6;
  const UNSEEN = "data-fleet-unseen";

  /** Whether the element takes part in normal flow, as it was first met. @type {WeakMap<Element, boolean>} */
  let inFlow = new WeakMap();
  /** The inline display that `data-hidden` covers. @type {WeakMap<Element, string>} */
  const covered = new WeakMap();

  /** @param {Element} element */
  const isInFlow = (element) => {
    const known = inFlow.get(element);
    if (known !== undefined) return known;
    const found = /^(static|relative|sticky)$/.test(getComputedStyle(element).position);
    inFlow.set(element, found);
    return found;
  };

  /** A sum like 0.1 + 0.2 is meant to be the frame that it misses by a rounding error. @param {number} timeS */
  const onGrid = (timeS) => {
    const { fpsNumerator, fpsDenominator } = fleet.config;
    const frames = (timeS * fpsNumerator) / fpsDenominator;
    const nearest = Math.round(frames);
    return Math.abs(frames - nearest) <= GRID_TOLERANCE_FRAMES ? (nearest * fpsDenominator) / fpsNumerator : timeS;
  };

  /** @param {Element} element @param {number} timeS @param {Resolver} resolve @param {number} filmS */
  const isInWindow = (element, timeS, resolve, filmS) => {
    if (fleet.layout.NEVER_PAINTED.test(element.tagName)) return false;
    const start = fleet.timing.isMedia(element) ? resolve.mediaStart(element) : resolve.start(element);
    if (timeS < onGrid(start)) return false;
    const length = resolve.duration(element);
    if (length === null || timeS < onGrid(start + length)) return true;
    // What ends with the film is held: a film may be rendered for longer than its timeline lasts.
    return onGrid(start + length) >= filmS - END_TOLERANCE_S;
  };

  /** @param {Element} element @param {Element | null} stage @param {(node: Element) => boolean} isIn */
  const isVisible = (element, stage, isIn) => {
    // A visible descendant would shine through its hidden ancestor, so ancestors are asked too.
    for (let node = element; node; node = /** @type {Element} */ (node.parentElement)) {
      if (node !== element && node === stage) return true;
      if ((node === element || node.hasAttribute("data-start")) && !isIn(node)) return false;
    }
    return true;
  };

  /** @param {HTMLElement} element @returns {boolean} whether `data-hidden` decides alone */
  const applyHidden = (element) => {
    if (element.hasAttribute("data-hidden")) {
      if (!covered.has(element)) covered.set(element, element.style.display);
      element.style.display = "none";
      return true;
    }
    const display = covered.get(element);
    if (display !== undefined) element.style.display = display;
    covered.delete(element);
    return false;
  };

  /** What is in a hidden element is hidden with it, even where the author made it visible. */
  const coverContents = () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`[${UNSEEN}][style*="visibility: hidden"] * { visibility: hidden !important; }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  };

  /** @param {HTMLElement} element @param {boolean} shown */
  const show = (element, shown) => {
    const value = shown ? "visible" : "hidden";
    if (element.style.visibility !== value) element.style.visibility = value;
    if (element.hasAttribute(UNSEEN) === shown) element.toggleAttribute(UNSEEN, !shown);
    if (!isInFlow(element)) return;
    // Hidden elements keep their box, so those in flow leave it; containers stay, for clips inside them may be shown.
    if (shown) element.style.removeProperty("display");
    else if (!element.querySelector("[data-start]")) element.style.display = "none";
  };

  /** @param {number} timeS absolute */
  const apply = (timeS) => {
    const resolve = fleet.timing.resolver();
    const stage = fleet.layout.root();
    const filmS = fleet.timeline.stageLength();
    const isIn = (/** @type {Element} */ node) => isInWindow(node, timeS, resolve, filmS);
    for (const element of document.querySelectorAll("[data-start]")) {
      if (!(element instanceof HTMLElement) || applyHidden(element)) continue;
      show(element, isVisible(element, stage, isIn));
    }
  };

  /** Forgets what was cached of elements, after content was mounted. */
  const reset = () => {
    inFlow = new WeakMap();
  };

  return Object.freeze({ apply, coverContents, reset });
})();
