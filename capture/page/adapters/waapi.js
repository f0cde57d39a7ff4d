// @ts-check
// Web Animations: element.animate(), CSS transitions, CSS animations of pseudo-elements. Each is held from its first
// moment and counts from the time at which it was first met, which for everything that loads with the page is 0.

(() => {
  /** Composition time, and the animation's own, at which it was met; ms. @type {Map<Animation, [number, number]>} */
  const met = new Map();
  let nowMs = 0;

  /** @param {Animation} animation @param {number} [ownMs] where in itself it stands */
  const hold = (animation, ownMs = 0) => {
    if (met.has(animation) || animation.timeline !== document.timeline) return;
    met.set(animation, [nowMs, ownMs]);
    animation.pause();
    animation.currentTime = ownMs;
  };

  // Paused at once: how far it would run until the page is ready differs from load to load.
  const realAnimate = Element.prototype.animate;
  /** @param {Parameters<Element["animate"]>} parameters */
  Element.prototype.animate = function animate(...parameters) {
    const animation = realAnimate.apply(this, parameters);
    hold(animation);
    return animation;
  };
  const realPlay = Animation.prototype.play;
  Animation.prototype.play = function play() {
    realPlay.call(this);
    met.delete(this);
    hold(this, Number(this.currentTime) || 0);
  };
  const onStart = (/** @type {Event} */ event) => {
    if (!(event.target instanceof Element)) return;
    for (const animation of event.target.getAnimations({ subtree: true })) hold(animation);
  };
  for (const type of ["animationstart", "transitionrun"]) document.addEventListener(type, onStart, true);

  /** @param {Animation} animation @param {[number, number]} base @param {number} timeMs */
  const place = (animation, [metMs, ownMs], timeMs) => {
    if (animation.playState === "idle") {
      met.delete(animation); // cancelled: setting its time would bring it back
      return;
    }
    if (animation.playState !== "paused") animation.pause();
    animation.currentTime = ownMs + Math.max(0, timeMs - metMs);
  };

  /** CSS animations of elements start with their clip. @param {Animation} animation @returns {number | null} ms */
  const startOf = (animation) => {
    const target = animation.effect instanceof KeyframeEffect ? animation.effect.target : null;
    const isElements = animation instanceof CSSAnimation && target instanceof HTMLElement;
    return isElements ? fleet.timing.resolver().start(target) * 1000 : null;
  };

  fleet.adapters.push({
    name: "waapi",
    find: () => true,
    seek: (timeS) => {
      nowMs = timeS * 1000;
      for (const animation of document.getAnimations()) hold(animation);
      for (const [animation, base] of [...met]) place(animation, base, nowMs);
    },
    // A browser moves what runs before anything changes the style. A transition whose end a timeline moves with every
    // frame would otherwise begin again each time from where it began.
    advance: (timeS) => {
      for (const [animation, base] of [...met]) {
        if (animation instanceof CSSTransition) place(animation, base, timeS * 1000);
      }
    },
    ready: () => {
      for (const animation of document.getAnimations()) hold(animation);
      // A position that the author set before the first frame is where the animation begins.
      for (const [animation, base] of met) base[1] = Math.max(0, Number(animation.currentTime) || 0);
    },
    length: () => {
      const ends = [...met].map(([animation, [metMs, ownMs]]) => {
        const endMs = Number(animation.effect?.getComputedTiming().endTime);
        const startMs = startOf(animation) ?? metMs - ownMs;
        return Number.isFinite(endMs) ? (startMs + endMs) / 1000 : 0; // what repeats for ever ends nothing
      });
      return Math.max(0, ...ends);
    },
  });
})();
