// @ts-check
// Eases that compositions may name and GSAP does not know. `hold` is here; the others are named as not covered.

fleet.eases = (() => {
  const UNKNOWN = /^(spring|wiggle|custom)\s*\(/;

  /** The step that stays at the start value until the very end. */
  const register = () => {
    const gsap = window.gsap;
    if (!gsap?.registerEase || typeof gsap.parseEase?.("hold") === "function") return;
    gsap.registerEase("hold", (/** @type {number} */ progress) => (progress < 1 ? 0 : 1));
  };

  /** @param {any} timeline @returns {any[]} */
  const tweens = (timeline) =>
    fleet.timeline.has(timeline, "getChildren") ? timeline.getChildren(true, true, false) : [];

  /** @returns {string[]} names of eases in use that nobody registered */
  const unknown = () => {
    const parse = window.gsap?.parseEase;
    const names = Object.values(fleet.timeline.registry())
      .flatMap(tweens)
      .map((tween) => tween.vars?.ease)
      .filter((ease) => typeof ease === "string" && UNKNOWN.test(ease) && typeof parse?.(ease) !== "function");
    return [...new Set(names)].map((ease) => `ease ${ease}`);
  };

  return Object.freeze({ register, unknown });
})();
