// @ts-check
// The frames that a jump must not skip. A tween takes its start values from the page when it is first rendered, and
// callbacks fire once, so a frame in mid-film looks as it does after every frame before it only if the page also stood
// at those where something begins or ends. Visiting more frames than needed is harmless: playing visits all of them.

fleet.waypoints = (() => {
  /** @type {number[] | null} */
  let known = null;

  /** Seconds of the film at `localS` of `animation`, or NaN. @param {any} animation @param {number} localS @param {any} root */
  const filmTime = (animation, localS, root) => {
    let timeS = localS;
    for (let node = animation; node && node !== root; node = node.parent) {
      timeS = node.startTime() + timeS / (node.timeScale() || 1);
    }
    return timeS;
  };

  /** @param {any} root @param {(timeS: number) => number} toFilm @returns {number[]} */
  const edges = (root, toFilm) => {
    if (!fleet.timeline.has(root, "getChildren")) return [];
    return root.getChildren(true, true, true).flatMap((/** @type {any} */ child) => {
      return [0, child.totalDuration()].map((localS) => toFilm(filmTime(child, localS, root)));
    });
  };

  /** @returns {number[]} seconds at which something begins or ends */
  const times = () => {
    const bound = fleet.timeline.current();
    const alone = fleet.timeline.standing().flatMap((/** @type {any} */ { timeline, start, rate, inPoint }) => {
      return edges(timeline, (timeS) => start + (timeS - inPoint) / rate);
    });
    const loose = window.gsap?.globalTimeline?.getChildren(false, true, false) ?? [];
    return [0, ...edges(bound, (timeS) => timeS), ...alone, ...loose.map((/** @type {any} */ one) => one.startTime())];
  };

  const compute = () => {
    const rate = fleet.config.fpsNumerator / fleet.config.fpsDenominator;
    /** @type {Set<number>} */
    const frames = new Set();
    for (const timeS of times()) {
      const frame = Math.floor(timeS * rate);
      // Which of the last two renders it first depends on rounding; a tween made there starts at the frame before it.
      for (const near of [frame - 1, frame, frame + 1]) if (Number.isSafeInteger(near) && near >= 0) frames.add(near);
    }
    return [...frames].sort((one, other) => one - other);
  };

  /** @returns {any[]} every animation of the registered timelines that calls back on each update */
  const updating = () => {
    const all = Object.values(fleet.timeline.registry()).flatMap((timeline) => {
      const inner = fleet.timeline.has(timeline, "getChildren") ? timeline.getChildren(true, true, true) : [];
      return [timeline, ...inner];
    });
    return all.filter((one) => typeof one?.vars?.onUpdate === "function" && fleet.timeline.has(one, "eventCallback"));
  };

  /**
   * Runs `travel` with update callbacks held back, for they mostly draw, and what they draw on the way nobody sees. The
   * last update of what ends on the way is made where it ends; what goes on is updated where the journey ends.
   * @param {() => void} travel
   */
  const withoutUpdates = (travel) => {
    /** @type {Map<any, Function>} */
    const originals = new Map();
    /** @type {Map<Function, Function>} */
    const behind = new Map(); // authors share one `vars` between tweens, which then holds a stand-in already
    for (const one of updating()) {
      const original = behind.get(one.vars.onUpdate) ?? one.vars.onUpdate;
      /** @this {any} @param {any[]} parameters */
      const standIn = function (...parameters) {
        const caller = originals.has(this) ? this : one;
        if (caller.totalProgress() === 1) original.apply(this, parameters);
      };
      originals.set(one, original);
      behind.set(standIn, original);
      one.eventCallback("onUpdate", standIn);
    }
    try {
      travel();
    } finally {
      for (const [one, original] of originals) one.eventCallback("onUpdate", original);
    }
  };

  /** Calls `stand` for each frame that a jump from `after` to `before` must not skip. */
  const travel = (
    /** @type {number} */ after,
    /** @type {number} */ before,
    /** @type {(frame: number) => void} */ stand,
  ) => {
    if (before <= after + 1) return;
    known ??= compute();
    const frames = known.filter((frame) => frame > after && frame < before);
    if (frames.length) withoutUpdates(() => frames.forEach(stand));
  };

  /** After the timelines changed. */
  const reset = () => {
    known = null;
  };

  return Object.freeze({ travel, updating, reset });
})();
