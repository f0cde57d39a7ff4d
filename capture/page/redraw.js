// @ts-check
// Has a frame drawn from scratch where Chromium would keep something of the frames drawn before it: it does not draw an
// element again that has moved by next to nothing, and one that has become opaque stays a group of its own. A frame
// would then depend on where its block begins. Looks at inline styles, the attribute `transform` and animations; not
// into shadow trees or child frames, and not at rules that scripts rewrite.

fleet.redraw = (() => {
  // Chromium's RasterInvalidator takes a matrix for the one that it last drew when no part of it differs by more than
  // 1e-2 px, where it is one of translation, or else 1e-4. More here, for computed styles are rounded to six digits.
  const SHIFT_PX = 2e-2;
  const PART = 1.1e-4;
  // So many times as much is worth the question how much smaller its ancestors make the element.
  const SMALL = 50;
  // An element that moves against one that it is in may end up where it was, if neither is so many times as fast.
  const PACES = 5;
  const SHIFTS = Object.freeze({ 6: [4, 5], 16: [12, 13, 14] });
  const IDENTITY = Object.freeze({
    6: [1, 0, 0, 1, 0, 0],
    16: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
  });
  const NUMBER = /-?\d+(?:\.\d+)?(?:e[-+]?\d+)?/gi;
  const MOVING = /^(transform|translate|rotate|scale|opacity|offset.*|--.*)$/;
  const SELECTED_BY = /^(class|id|data-(?!fleet-).*)$/;

  /** @typedef {[element: Element, pseudo: string]} Target */
  /** @typedef {{text: string, matrix: number[] | null, others: string, opacity: number}} Place */

  /**
   * By pseudo-element: where the element was in the last frame, and where Chromium may still have it drawn instead.
   * @type {WeakMap<Element, Map<string, Place[]>>}
   */
  const places = new WeakMap();
  /** @type {WeakMap<Element, string>} */
  const variables = new WeakMap();
  /** @type {WeakMap<Animation, number | null>} */
  const progresses = new WeakMap();
  /** @type {WeakMap<Animation, string[]>} */
  const properties = new WeakMap();
  /** @type {Set<Element>} */
  let written = new Set();
  let isUnclear = false; // something was written that may move other elements
  let lastFrame = -2;

  const collect = (/** @type {MutationRecord[]} */ records) => {
    for (const { target, attributeName } of records) {
      if (attributeName === "style" || attributeName === "transform") written.add(/** @type {Element} */ (target));
      else if (SELECTED_BY.test(attributeName ?? "")) isUnclear = true;
    }
  };
  const observer = new MutationObserver(collect);
  observer.observe(document, { subtree: true, attributes: true });

  /** @param {string} text @returns {number[]} */
  const numbers = (text) => (text.match(NUMBER) ?? []).map(Number);

  /** A computed transform, about its origin; null without one. @param {CSSStyleDeclaration} style */
  const matrixOf = ({ transform, transformOrigin }) => {
    if (transform === "none") return null;
    const parts = numbers(transform.slice(transform.indexOf("(")));
    if (parts.length !== 6) return parts;
    const [x, y] = numbers(transformOrigin); // what turns or grows about a point also moves
    parts[4] += x - parts[0] * x - parts[2] * y;
    parts[5] += y - parts[1] * x - parts[3] * y;
    return parts;
  };

  /** @param {Target} target @returns {Place} */
  const placeOf = ([element, pseudo]) => {
    const now = getComputedStyle(element, pseudo || null);
    const attribute = element instanceof SVGElement ? element.getAttribute("transform") : "";
    const others = [now.translate, now.rotate, now.scale, now.offsetDistance, now.offsetRotate, attribute].join(" | ");
    return { text: now.transform, matrix: matrixOf(now), others, opacity: Number(now.opacity) };
  };

  /** Part by part; null when the matrix has become one of another kind. @param {Place} was @param {Place} is */
  const change = (was, is) => {
    const size = /** @type {6 | 16} */ ((is.matrix ?? was.matrix ?? IDENTITY[6]).length);
    const [from, to] = [was.matrix ?? IDENTITY[size], is.matrix ?? IDENTITY[size]];
    return from.length === to.length ? to.map((part, index) => part - from[index]) : null;
  };

  /** @param {number[]} parts of a change @param {number} times what Chromium overlooks */
  const isWithin = (parts, times) => {
    const shifts = SHIFTS[/** @type {6 | 16} */ (parts.length)];
    return parts.every((part, index) => Math.abs(part) <= times * (shifts.includes(index) ? SHIFT_PX : PART));
  };

  /** How many times as large an element would be without what is above it; 1 when it would not. @param {Element} element */
  const shrinking = (element) => {
    let area = 1;
    for (let node = element.parentElement; node; node = node.parentElement) {
      const matrix = matrixOf(getComputedStyle(node));
      const [across, down] = matrix?.length === 16 ? [4, 5] : [2, 3];
      if (matrix) area *= Math.abs(matrix[0] * matrix[down] - matrix[1] * matrix[across]);
    }
    return 1 / Math.sqrt(Math.min(1, Math.max(area, 1e-6)));
  };

  /** Whether Chromium may take one for the other. @param {Element} element @param {Place} was @param {Place} is */
  const isAlike = (element, was, is) => {
    const parts = change(was, is);
    if (!parts || isWithin(parts, 1)) return true;
    return isWithin(parts, SMALL) && isWithin(parts, shrinking(element));
  };

  /** The same of what is not in the matrix, whatever it means. @param {string} was @param {string} is */
  const isSlight = (was, is) => {
    if (was === is) return false;
    const [before, after] = [numbers(was), numbers(is)];
    return before.length !== after.length || after.every((part, index) => Math.abs(part - before[index]) <= SHIFT_PX);
  };

  /**
   * Whether Chromium may keep something that it drew of a target. How far it moved otherwise is added to `moved`.
   * @param {Target} target @param {Map<Element, number[]>} moved
   */
  const isKept = (target, moved) => {
    const [element, pseudo] = target;
    const known = places.get(element) ?? new Map();
    const before = /** @type {Place[]} */ (known.get(pseudo) ?? []);
    const [last] = before;
    const is = placeOf(target);
    const stays = last?.text === is.text && last.others === is.others;
    const alike = stays ? before.slice(1) : before.filter((was) => isAlike(element, was, is));
    places.set(element, known.set(pseudo, [is, ...alike]));
    if (!last || (last.opacity < 1 && is.opacity === 1)) return true;
    if (stays) return false;
    if (alike.length || isSlight(last.others, is.others)) return true;
    if (!pseudo) moved.set(element, change(last, is) ?? []);
    return false;
  };

  /** @param {number} inner @param {number} outer */
  const isAgainst = (inner, outer) => inner * outer < 0 && Math.min(inner / outer, outer / inner) > -PACES;

  /** Whether one moves against one that it is in. @param {Map<Element, number[]>} moved */
  const isHeld = (moved) => {
    if (moved.size < 2) return false;
    for (const [element, parts] of moved) {
      for (let node = element.parentElement; node; node = node.parentElement) {
        const outer = moved.get(node) ?? [];
        if (parts.some((part, index) => isAgainst(part, outer[index] ?? 0))) return true;
      }
    }
    return false;
  };

  /** What is not drawn is drawn when it appears. @param {Element} element */
  const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  /** Whether a variable has changed, by which what is in the element may move. @param {Element} element */
  const hasVaried = (element) => {
    const text = /** @type {HTMLElement} */ (element).style?.cssText ?? "";
    const parts = text.includes("--") ? text.split(";").filter((part) => part.trim().startsWith("--")) : [];
    const was = variables.get(element) ?? "";
    variables.set(element, parts.join(";"));
    return was !== parts.join(";");
  };

  /** What an animation changes, of what moves elements. @param {Animation} animation @param {KeyframeEffect} effect */
  const moving = (animation, effect) => {
    const known = properties.get(animation);
    if (known) return known;
    const names = new Set(effect.getKeyframes().flatMap((frame) => Object.keys(frame)));
    const found = [...names].filter((name) => MOVING.test(name));
    properties.set(animation, found);
    return found;
  };

  /** What animations have moved since they were last asked. @returns {Target[]} */
  const advanced = () => {
    /** @type {Target[]} */
    const found = [];
    for (const animation of document.getAnimations()) {
      const { effect } = animation;
      if (!(effect instanceof KeyframeEffect) || !effect.target) continue;
      const progress = effect.getComputedTiming().progress ?? null;
      if (progress === progresses.get(animation)) continue;
      progresses.set(animation, progress);
      const names = moving(animation, effect);
      if (names.some((name) => name.startsWith("--"))) isUnclear = true;
      if (names.length) found.push([effect.target, effect.pseudoElement ?? ""]);
    }
    return found;
  };

  /** Whether Chromium may keep something, after all that was written since this was last asked. */
  const mayKeep = () => {
    collect(observer.takeRecords());
    const elements = [...written].filter((element) => element.isConnected);
    const varied = elements.filter(hasVaried);
    /** @type {Target[]} */
    const targets = [...elements.map((element) => /** @type {Target} */ ([element, ""])), ...advanced()];
    /** @type {Map<Element, number[]>} */
    const moved = new Map();
    const kept = targets.filter((target) => isKept(target, moved) && isSeen(target[0]));
    const found = isUnclear || varied.length > 0 || kept.length > 0 || isHeld(moved);
    written = new Set();
    isUnclear = false;
    return found;
  };

  /** A group around everything, or none: Chromium cannot use what it drew with one for a frame with the other. */
  const startOver = () => {
    const { style } = document.documentElement;
    style.willChange = style.willChange === "opacity" ? "" : "opacity";
  };

  /** To be called when everything of a frame is where it belongs. @param {number} frame absolute */
  const prepare = (frame) => {
    const isNext = frame === lastFrame + 1;
    lastFrame = frame;
    if (mayKeep() || !isNext) startOver();
  };

  return Object.freeze({ prepare });
})();
