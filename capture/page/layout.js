// @ts-check
// The stage: which element is the root, its size, the page around it, and the placement of its direct clips.
// Applied once when the document is parsed and again after content was mounted; the second time changes nothing.

fleet.layout = (() => {
  const NEVER_PAINTED = /^(script|style|link|meta)$/i;
  const MOVED = Object.freeze({
    "data-duration": "data-hf-authored-duration",
    "data-end": "data-hf-authored-end",
  });

  /** @returns {HTMLElement | null} */
  const root = () => {
    const all = [...document.querySelectorAll("[data-composition-id]")];
    const isOutermost = (/** @type {Element} */ node) => !node.parentElement?.closest("[data-composition-id]");
    const found = all.find((node) => node.matches('[data-root="true"]')) ?? all.find(isOutermost) ?? all[0];
    return found instanceof HTMLElement ? found : null;
  };

  /** @param {Element} element @param {string} name @returns {string} CSS length, empty when absent or not positive */
  const pixels = (element, name) => {
    const value = Number.parseFloat(element.getAttribute(name) ?? "");
    return Number.isFinite(value) && value > 0 ? `${value}px` : "";
  };

  const stylePage = () => {
    for (const element of [document.documentElement, document.body]) {
      Object.assign(element.style, { margin: "0", padding: "0", overflow: "hidden" });
    }
  };

  /** @param {HTMLElement} stage */
  const styleRoot = (stage) => {
    if (!stage.hasAttribute("data-start")) stage.setAttribute("data-start", "0");
    for (const side of ["width", "height"]) {
      const length = pixels(stage, `data-${side}`);
      if (!length) continue;
      stage.style.setProperty(side, length);
      stage.style.setProperty(`--comp-${side}`, length);
    }
    if (!stage.style.position) stage.style.position = "relative";
    stage.style.overflow = "hidden";
  };

  /** Authors centre with CSS on top of old defaults; without the defaults their CSS decides. @param {HTMLElement} clip */
  const dropLegacyDefaults = (clip) => {
    const { top, left, width, height, transform } = clip.style;
    const isFilled = /^0(px)?$/.test(top) && /^0(px)?$/.test(left) && width === "100%" && height === "100%";
    const isCentred = /translate\(\s*-50%\s*,\s*-50%\s*\)/.test(transform);
    if (!isFilled || !isCentred || clip.matches("[data-width],[data-height]")) return;
    Object.assign(clip.style, { top: "", left: "", width: "", height: "" });
    const now = getComputedStyle(clip);
    const isAnchored = [now.top, now.bottom, now.left, now.right].some((side) => side !== "auto");
    const isSized = now.width !== "0px" || now.height !== "0px";
    if (!isAnchored && !isSized) Object.assign(clip.style, { top, left, width, height });
  };

  /** @param {HTMLElement} clip @param {"width" | "height"} side @param {string} computed */
  const size = (clip, side, computed) => {
    if (clip.style[side]) return;
    const length = pixels(clip, `data-${side}`);
    const isEmpty = computed === "0px";
    if (length && (isEmpty || computed === "auto")) clip.style[side] = length;
    else if (!length && isEmpty) clip.style[side] = "100%";
  };

  /** @param {HTMLElement} clip What it measures, before any clip is given what it lacks. */
  const measure = (clip) => {
    const { top, bottom, left, right, width, height } = getComputedStyle(clip);
    return { clip, top, bottom, left, right, width, height };
  };

  /** @param {ReturnType<typeof measure>} now */
  const complete = ({ clip, ...now }) => {
    const own = clip.style;
    if (!own.top && !own.bottom && now.top === "auto" && now.bottom === "auto") own.top = "0";
    if (!own.left && !own.right && now.left === "auto" && now.right === "auto") own.left = "0";
    if (clip instanceof HTMLAudioElement) return;
    size(clip, "width", now.width);
    size(clip, "height", now.height);
  };

  /** All reading before all writing: a layout between two of 10,000 clips would cost the square of them. */
  const placeClips = (/** @type {HTMLElement[]} */ clips) => {
    clips.forEach(dropLegacyDefaults);
    const inFlow = clips.filter((clip) => !/^(absolute|fixed)$/.test(getComputedStyle(clip).position));
    for (const clip of inFlow) clip.style.position = "absolute";
    // Read after that write: Chromium then answers with used offsets, so only boxes without layout are still `auto`.
    clips.map(measure).forEach(complete);
  };

  /** Only the root keeps its length in public; resolvers read the moved copies. @param {HTMLElement | null} stage */
  const moveDurations = (stage) => {
    for (const node of document.querySelectorAll("[data-composition-id]")) {
      if (node === stage) continue;
      for (const [name, moved] of Object.entries(MOVED)) {
        const value = node.getAttribute(name);
        if (value === null) continue;
        if (!node.hasAttribute(moved)) node.setAttribute(moved, value);
        node.removeAttribute(name);
      }
    }
  };

  const apply = () => {
    const stage = root();
    stylePage();
    moveDurations(stage);
    if (!stage) return;
    styleRoot(stage);
    const isClip = (/** @type {Element} */ child) =>
      child instanceof HTMLElement &&
      child.matches("[data-start]:not([data-hf-autostamped])") &&
      !NEVER_PAINTED.test(child.tagName);
    placeClips(/** @type {HTMLElement[]} */ ([...stage.children].filter(isClip)));
  };

  return Object.freeze({ root, apply, pixels, NEVER_PAINTED });
})();
