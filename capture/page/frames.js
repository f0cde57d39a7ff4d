// @ts-check
// Pages inside the page. They have a clock of their own, which follows; what no clock moves in them is put where it
// belongs: CSS and Web Animations, SVG's animation elements, and timelines that are registered in `__timelines`.

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

  /** @param {any} child @param {string} id @returns {number} when the composition of that name begins in its page, s */
  const startOf = (child, id) => {
    const node = child.document.querySelector(`[data-composition-id="${CSS.escape(id)}"]`);
    return fleet.timing.number(node?.getAttribute("data-start")) ?? 0;
  };

  /** Timelines inside others follow these. @param {any} child @param {number} timeMs */
  const seekTimelines = (child, timeMs) => {
    const entries = Object.entries(child.__timelines ?? {});
    const all = entries.map(([, timeline]) => timeline).filter((timeline) => fleet.timeline.has(timeline, "pause"));
    for (const [id, timeline] of entries) {
      const follows = all.some((other) => fleet.timeline.isInside(timeline, other));
      if (all.includes(timeline) && !follows) fleet.timeline.seekAlone(timeline, timeMs / 1000 - startOf(child, id));
    }
  };

  /** @param {number} timeMs */
  const seek = (timeMs) => {
    for (const child of below(window)) {
      child.__HF_VIRTUAL_TIME__?.seekToTime(timeMs);
      seekTimelines(child, timeMs);
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
