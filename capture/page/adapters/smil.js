// @ts-check
// SVG's own animation elements: each outermost <svg> has a clock of its own, which is stopped and set.

(() => {
  const pictures = () =>
    [...document.querySelectorAll("svg")].filter(
      (svg) => !svg.ownerSVGElement && svg.querySelector("animate,animateTransform,animateMotion,set"),
    );

  fleet.adapters.push({
    name: "smil",
    find: () => pictures().length > 0,
    seek: (timeS) => {
      for (const svg of pictures()) {
        svg.pauseAnimations();
        svg.setCurrentTime(timeS);
      }
    },
    ready: () => pictures().forEach((svg) => svg.pauseAnimations()),
  });
})();
