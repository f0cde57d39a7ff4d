// @ts-check
// Eases that compositions may name and GSAP does not know: hold, spring(bounce), wiggle(times, type, size) and
// custom(M0,0 C x1,y1 x2,y2 1,1). The curves are those of HyperFrames, so that films look the same here.

fleet.eases = (() => {
  /** @typedef {(progress: number) => number} Ease */

  const NAMED = /^\s*(hold|spring|wiggle|custom)\s*(?:\((.*)\))?\s*$/s;
  const CURVE = /^\s*M\s*0\s*,\s*0\s+C\s*(.+?)\s+1\s*,\s*1\s*$/i;
  // 24 halvings place the curve's parameter to less than a thousandth of what a pixel can show.
  const HALVINGS = 24;
  const SIZES = new Map([["easeOut", 0.16], ["easeInOut", 0.08], ["anticipate", 0.12], ["uniform", 0.14]]);

  /** Exact at both ends, and out of the way of what is no number. @param {Ease} inner @returns {Ease} */
  const pinned = (inner) => (progress) => {
    if (!Number.isFinite(progress)) return progress;
    if (progress <= 0) return 0;
    return progress >= 1 ? 1 : inner(progress);
  };

  /** @param {string | undefined} text @returns {number} NaN unless the text is a number and nothing else */
  const number = (text) => (text?.trim() ? Number(text) : NaN);

  /** @returns {Ease} */
  const hold = () => (progress) => (progress >= 1 ? 1 : 0);

  /** A damped cosine, scaled to end at 1. @param {string} text @returns {Ease | null} */
  const spring = (text) => {
    const bounce = Math.min(1, Math.max(0, number(text)));
    if (Number.isNaN(bounce)) return null;
    const way = (/** @type {number} */ progress) =>
      1 - Math.exp(-(12 - 6 * bounce) * progress) * Math.cos(2 * Math.PI * (1 + 1.5 * bounce) * progress);
    return pinned((progress) => way(progress) / way(1));
  };

  /** A straight way with a sine on it. @param {string} text @returns {Ease | null} */
  const wiggle = (text) => {
    const [times, type, given, ...rest] = text.split(",").map((part) => part.trim());
    const count = number(times);
    const size = given === undefined ? SIZES.get(type) : number(given);
    const isKnown = SIZES.has(type) && Number.isSafeInteger(count) && count >= 1 && rest.length === 0;
    if (!isKnown || size === undefined || !(size >= 0 && size <= 1)) return null;
    const envelope = (/** @type {number} */ progress) => {
      if (type === "uniform") return size;
      if (type === "easeInOut") return size * Math.sin(Math.PI * progress);
      return type === "anticipate" ? size * (progress - 1) : size * (1 - progress);
    };
    return pinned((progress) => progress + envelope(progress) * Math.sin(2 * Math.PI * count * progress));
  };

  /** One cubic segment from 0,0 to 1,1. @param {string} text @returns {Ease | null} */
  const custom = (text) => {
    const points = (CURVE.exec(text)?.[1] ?? "").split(/[\s,]+/).map(number);
    const [x1, y1, x2, y2] = points;
    if (points.length !== 4 || points.some(Number.isNaN) || Math.min(x1, x2) < 0 || Math.max(x1, x2) > 1) return null;
    const at = (/** @type {number} */ u, /** @type {number} */ one, /** @type {number} */ two) =>
      3 * (1 - u) * (1 - u) * u * one + 3 * (1 - u) * u * u * two + u * u * u;
    return pinned((progress) => {
      let [low, high] = [0, 1];
      for (let halving = 0; halving < HALVINGS; halving += 1) {
        const middle = (low + high) / 2;
        if (at(middle, x1, x2) < progress) low = middle;
        else high = middle;
      }
      return at((low + high) / 2, y1, y2);
    });
  };

  /** @type {Record<string, (text: string) => Ease | null>} */
  const KINDS = { hold, spring, wiggle, custom };

  /** @param {unknown} ease @returns {Ease | null} */
  const parse = (ease) => {
    const [, name, text] = (typeof ease === "string" && NAMED.exec(ease)) || [];
    return name ? KINDS[name](text ?? "") : null;
  };

  /** @type {WeakSet<any>} */
  const registered = new WeakSet();

  /** Makes the names known to this GSAP, for tweens and for segments of keyframes. @param {any} gsap */
  const register = (gsap) => {
    if (registered.has(gsap) || typeof gsap?.registerEase !== "function" || typeof gsap.parseEase !== "function") return;
    registered.add(gsap);
    gsap.registerPlugin?.({ name: "_auto", init: () => false }); // a mark of the studio, no property
    const own = gsap.parseEase;
    gsap.parseEase = (/** @type {any[]} */ ...parameters) => parse(parameters[0]) ?? own.apply(gsap, parameters);
    gsap.registerEase("hold", hold());
    for (const name of ["spring", "wiggle", "custom"]) {
      /** @type {Ease & {config?: (...parts: unknown[]) => Ease}} */
      const ease = (progress) => progress;
      ease.config = (...parts) => KINDS[name](parts.join(",")) ?? ease;
      gsap.registerEase(name, ease);
    }
  };

  // Registered as the library defines itself: tweens parse their eases when they are made.
  /** @type {any} */
  let library;
  Object.defineProperty(window, "gsap", {
    configurable: true,
    enumerable: true,
    get: () => library,
    set: (value) => {
      library = value;
      register(value);
    },
  });

  /** @param {any} timeline @returns {any[]} */
  const tweens = (timeline) =>
    fleet.timeline.has(timeline, "getChildren") ? timeline.getChildren(true, true, false) : [];

  /** @returns {string[]} eases in use that bear one of the names and say nothing that it could mean */
  const unknown = () => {
    const names = Object.values(fleet.timeline.registry())
      .flatMap(tweens)
      .map((tween) => tween.vars?.ease)
      .filter((ease) => typeof ease === "string" && NAMED.test(ease) && parse(ease) === null);
    return [...new Set(names)].map((ease) => `ease ${ease}`);
  };

  return Object.freeze({ unknown });
})();
