// @ts-check
// Pages inside the page. They have a clock of their own, which follows; what a browser moves by itself in them is
// stopped and put where it belongs: CSS and Web Animations, and SVG's animation elements.

fleet.frames = (() => {
  /** The film's time at which an animation was first seen, ms. @type {WeakMap<Animation, number>} */
  const begun = new WeakMap();

  /** @param {Window} parent @returns {any[]} every window below it, outer ones first */
  const below = (parent) => {
    const children = Array.from({ length: parent.frames.length }, (_none, index) => parent.frames[index]);
    return children.flatMap((child) => [child, ...below(child)]);
  };

  /** @param {Document} page @param {number} timeMs */
  const place = (page, timeMs) => {
    for (const animation of page.getAnimations()) {
      if (!begun.has(animation)) begun.set(animation, timeMs);
      animation.pause();
      animation.currentTime = timeMs - (begun.get(animation) ?? 0);
    }
    for (const picture of page.querySelectorAll("svg")) {
      if (picture.ownerSVGElement) continue;
      picture.pauseAnimations();
      picture.setCurrentTime(timeMs / 1000);
    }
  };

  /** @param {number} timeMs */
  const seek = (timeMs) => {
    for (const child of below(window)) {
      child.__HF_VIRTUAL_TIME__?.seekToTime(timeMs);
      place(child.document, timeMs);
    }
  };

  /** Stops what moves since the frames were loaded: it began with the film. */
  const hold = () => {
    for (const child of below(window)) {
      child.gsap?.ticker?.lagSmoothing?.(0); // a jump to a later chunk would count as 33 ms
      place(child.document, 0);
    }
  };

  return Object.freeze({ seek, hold });
})();
