// @ts-check
// Shows each timed element inside its own window and inside those of its timed ancestors; ends are exclusive.
// Keyed on `data-start`; the class `clip` means nothing here.

fleet.visibility = (() => {
  /** @typedef {ReturnType<typeof fleet.timing.resolver>} Resolver */

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

  /** @param {Element} element @param {number} timeS @param {Resolver} resolve */
  const isInWindow = (element, timeS, resolve) => {
    if (fleet.layout.NEVER_PAINTED.test(element.tagName)) return false;
    const start = fleet.timing.isMedia(element) ? resolve.mediaStart(element) : resolve.start(element);
    const length = resolve.duration(element);
    return timeS >= start && (length === null || timeS < start + length);
  };

  /** @param {Element} element @param {number} timeS @param {Resolver} resolve @param {Element | null} stage */
  const isVisible = (element, timeS, resolve, stage) => {
    // A visible descendant would shine through its hidden ancestor, so ancestors are asked too.
    for (let node = element; node; node = /** @type {Element} */ (node.parentElement)) {
      if (node !== element && node === stage) return true;
      if ((node === element || node.hasAttribute("data-start")) && !isInWindow(node, timeS, resolve)) return false;
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

  /** @param {HTMLElement} element @param {boolean} shown */
  const show = (element, shown) => {
    const value = shown ? "visible" : "hidden";
    if (element.style.visibility !== value) element.style.visibility = value;
    if (!isInFlow(element)) return;
    // Hidden elements keep their box, so those in flow leave it; containers stay, for clips inside them may be shown.
    if (shown) element.style.removeProperty("display");
    else if (!element.querySelector("[data-start]")) element.style.display = "none";
  };

  /** @param {number} timeS absolute */
  const apply = (timeS) => {
    const resolve = fleet.timing.resolver();
    const stage = fleet.layout.root();
    for (const element of document.querySelectorAll("[data-start]")) {
      if (!(element instanceof HTMLElement) || applyHidden(element)) continue;
      show(element, isVisible(element, timeS, resolve, stage));
    }
  };

  /** Forgets what was cached of elements, after content was mounted. */
  const reset = () => {
    inFlow = new WeakMap();
  };

  return Object.freeze({ apply, reset });
})();
