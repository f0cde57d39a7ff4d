// @ts-check
// GSAP, and every other timeline that is registered in `window.__timelines`.

fleet.adapters.push({
  name: "gsap",
  find: () => !!window.gsap || Object.keys(fleet.timeline.registry()).length > 0,
  seek: (timeS, quiet) => fleet.timeline.seek(timeS, quiet),
  ready: () => {
    // Tweens outside of timelines follow the clock; with smoothing, a jump to a later chunk would count as 33 ms.
    window.gsap?.ticker?.lagSmoothing?.(0);
  },
});
