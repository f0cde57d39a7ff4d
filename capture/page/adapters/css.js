// @ts-check
// CSS keyframe animations of elements: they start with their element's `data-start`, or with the film.
// Elements that gain an animation later are left to WAAPI.

(() => {
  /** @type {Set<Element>} */
  let animated = new Set();

  const isAnimated = (/** @type {Element} */ element) =>
    element instanceof HTMLElement && getComputedStyle(element).animationName !== "none";

  fleet.adapters.push({
    name: "css",
    find: () => true,
    seek: (timeS) => {
      const resolve = fleet.timing.resolver();
      for (const element of animated) {
        const localMs = Math.max(0, timeS - resolve.start(element)) * 1000;
        for (const animation of element.getAnimations()) {
          if (!(animation instanceof CSSAnimation)) continue;
          animation.pause();
          animation.currentTime = localMs;
        }
      }
    },
    ready: () => {
      animated = new Set([...document.querySelectorAll("*")].filter(isAnimated));
    },
  });
})();
