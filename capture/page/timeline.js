// @ts-check
// The registry of timelines: chooses and completes the root timeline, and puts every timeline on an absolute time.
// Works on anything with duration() and totalTime() or seek(); what only GSAP has is used where it is there.

fleet.timeline = (() => {
  /** @typedef {any} Timeline */

  // Shorter than one frame at 60 fps is as good as empty.
  const USABLE_S = 1 / 60;
  // Small enough to start or end next to nothing, large enough for GSAP to render again.
  const NUDGE_S = 0.001;
  // Declared and animated lengths that differ by less are taken to be the same.
  const PAD_FROM_S = 0.5;
  const CALLBACKS = ["onStart", "onUpdate", "onComplete", "onReverseComplete", "onRepeat"];

  /** @type {Timeline | null} */
  let bound = null;
  /** @type {Set<Timeline>} */
  let seen = new Set();
  /** @type {WeakSet<Timeline>} */
  const begun = new WeakSet();
  /** @type {WeakMap<Timeline, boolean>} */
  let eventful = new WeakMap();

  window.__timelines = window.__timelines || {};

  /** @returns {Record<string, Timeline>} */
  const registry = () => {
    const found = window.__timelines;
    if (!Array.isArray(found)) return found ?? {};
    const rootId = fleet.layout.root()?.getAttribute("data-composition-id") ?? "root";
    const names = found.length === 1 ? [rootId] : found.map((_timeline, index) => `tl-${index}`);
    window.__timelines = Object.fromEntries(found.map((timeline, index) => [names[index], timeline]));
    return window.__timelines;
  };

  /** @param {Timeline} timeline @param {string} method */
  const has = (timeline, method) => !!timeline && typeof timeline[method] === "function";

  /** @param {Timeline} timeline @returns {number} seconds, 0 when unknown */
  const duration = (timeline) => {
    const seconds = has(timeline, "duration") ? Number(timeline.duration()) : 0;
    return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
  };

  /** @param {Timeline} timeline @returns {number} seconds with repeats, Infinity when unknown */
  const totalDuration = (timeline) => {
    const seconds = has(timeline, "totalDuration") ? Number(timeline.totalDuration()) : duration(timeline);
    return Number.isFinite(seconds) && seconds > 0 ? seconds : Infinity;
  };

  /** @param {Timeline} timeline @param {number} timeS @param {boolean} quiet suppresses callbacks */
  const place = (timeline, timeS, quiet) => {
    if (has(timeline, "totalTime")) timeline.totalTime(timeS, quiet);
    else if (has(timeline, "seek")) timeline.seek(timeS, quiet);
  };

  /** @param {Timeline} timeline */
  const pause = (timeline) => {
    if (has(timeline, "pause")) timeline.pause();
  };

  /** @param {Timeline} timeline @param {Timeline} ancestor */
  const isInside = (timeline, ancestor) => {
    for (let node = timeline?.parent; node; node = node.parent) if (node === ancestor) return true;
    return false;
  };

  /** A child that plays at its own pace cannot follow the root's playhead. @param {Element} node */
  const isPlain = (node) => fleet.timing.inPoint(node) === 0 && fleet.timing.rate(node) === 1;

  /** @typedef {{id: string, timeline: Timeline, start: number}} Child */
  /** @param {HTMLElement | null} stage @param {string} rootId @returns {Child[]} in document order */
  const children = (stage, rootId) => {
    const resolve = fleet.timing.resolver();
    const timelines = registry();
    /** @type {Map<string, Child>} */
    const found = new Map();
    for (const node of stage?.querySelectorAll("[data-composition-id]") ?? []) {
      const id = node.getAttribute("data-composition-id") ?? "";
      const timeline = timelines[id];
      const isCandidate = id !== rootId && !found.has(id) && has(timeline, "play") && has(timeline, "pause");
      if (isCandidate && isPlain(node)) found.set(id, { id, timeline, start: resolve.start(node) });
    }
    return [...found.values()];
  };

  /** @param {Child[]} candidates @param {Timeline} into */
  const nest = (candidates, into) => {
    for (const { timeline, start } of candidates) {
      if (has(timeline, "paused")) timeline.paused(false);
      if (has(into, "getChildren") && timeline !== into && !isInside(timeline, into)) into.add(timeline, start);
    }
  };

  /** @returns {Timeline | null} */
  const emptyTimeline = () => (has(window.gsap, "timeline") ? window.gsap.timeline({ paused: true }) : null);

  /** @param {Child[]} candidates @returns {Timeline | null} */
  const composite = (candidates) => {
    const timeline = candidates.length ? emptyTimeline() : null;
    if (timeline) nest(candidates, timeline);
    return timeline;
  };

  /** A timeline of `lengthS` that holds `inner` at 0. @param {Timeline} inner @param {number} lengthS */
  const spacer = (inner, lengthS) => {
    const timeline = lengthS > USABLE_S ? emptyTimeline() : null;
    if (!timeline) return null;
    timeline.add(inner, 0);
    if (has(inner, "paused")) inner.paused(false);
    timeline.to({}, { duration: lengthS });
    return timeline;
  };

  /** @param {Timeline} timeline @param {number} lengthS */
  const pad = (timeline, lengthS) => {
    const isShort = lengthS > USABLE_S && lengthS >= duration(timeline) + PAD_FROM_S;
    if (isShort && has(timeline, "to")) timeline.to({}, { duration: 0 }, lengthS);
  };

  /** @param {HTMLElement | null} stage @returns {number} declared length of the film and of its direct scenes, s */
  const declaredLength = (stage) => {
    if (!stage) return 0;
    const resolve = fleet.timing.resolver();
    let length = Math.max(0, fleet.timing.number(stage.getAttribute("data-duration")) ?? 0);
    for (const node of stage.querySelectorAll("[data-composition-id][data-start]")) {
      if (node.parentElement?.closest("[data-composition-id]") !== stage) continue;
      length = Math.max(length, resolve.start(node) + (resolve.duration(node) ?? -Infinity));
    }
    return length;
  };

  /** @returns {number} end of the last media window, s */
  const mediaLength = () => {
    const resolve = fleet.timing.resolver();
    const media = [...document.querySelectorAll("video[data-start],audio[data-start]")];
    const ends = media.map((node) => resolve.mediaStart(node) + (resolve.duration(node) ?? -Infinity));
    return Math.max(0, ...ends);
  };

  /** @param {Timeline} timeline @param {Child[]} candidates @param {HTMLElement | null} stage */
  const completeRoot = (timeline, candidates, stage) => {
    nest(candidates, timeline);
    if (duration(timeline) > USABLE_S) {
      pad(timeline, declaredLength(stage));
      return timeline;
    }
    const joined = composite(candidates);
    if (joined && duration(joined) > USABLE_S) return joined;
    return spacer(timeline, Math.max(mediaLength(), declaredLength(stage))) ?? timeline;
  };

  /** @returns {Timeline | null} */
  const choose = () => {
    const stage = fleet.layout.root();
    const rootId = stage?.getAttribute("data-composition-id") ?? "";
    const candidates = children(stage, rootId);
    const own = registry()[rootId];
    if (own) return completeRoot(own, candidates, stage);
    const joined = composite(candidates);
    if (joined) return joined;
    const all = Object.values(registry()).filter((timeline) => has(timeline, "play") && has(timeline, "pause"));
    return all.length === 1 ? all[0] : null;
  };

  /** Makes what stands at time 0 render: GSAP skips a paused timeline that is already where it is sent. */
  const prime = (/** @type {Timeline} */ timeline) => {
    if (has(timeline, "progress")) {
      const isEmpty = duration(timeline) === 0;
      timeline.progress(isEmpty ? 1 : 0.0001, true);
      if (isEmpty) timeline.progress(0, false);
    }
    if (duration(timeline) > 0) place(timeline, 0, false);
    pause(timeline);
  };

  /** Chooses, completes and primes the root timeline. Safe to repeat after a late registration. */
  const bind = () => {
    seen = new Set(Object.values(registry()));
    eventful = new WeakMap();
    fleet.waypoints.reset();
    const chosen = choose();
    if (!chosen && seen.size > 1) {
      const names = Object.keys(registry()).join(", ");
      fleet.failure.warn("timeline_unbound", `no timeline is registered under the root's id; registered: ${names}`);
    }
    if (chosen && chosen !== bound) {
      if (has(chosen, "timeScale")) chosen.timeScale(1);
      prime(chosen);
    }
    bound = chosen;
  };

  /** Whether a zero-length tween calls back: a second, silent pass could swallow its call. */
  const hasInstantCallback = (/** @type {Timeline} */ timeline) => {
    const known = eventful.get(timeline);
    if (known !== undefined) return known;
    const tweens = has(timeline, "getChildren") ? timeline.getChildren(true, true, true) : [];
    const found = tweens.some(
      (/** @type {any} */ tween) =>
        CALLBACKS.some((name) => typeof tween.vars?.[name] === "function") && tween.totalDuration() <= 1e-6,
    );
    eventful.set(timeline, found);
    return found;
  };

  /**
   * Renders once more what moves at this time, in playing order: where tweens share a target the later one wins, as it
   * does when the timeline plays, however far the seek jumped. From below, because GSAP goes backwards in reverse order.
   * @param {Timeline} timeline @param {number} at seconds
   */
  const renderAgain = (timeline, at) => {
    timeline.totalTime(at < NUDGE_S ? at + NUDGE_S : at - NUDGE_S, true);
    timeline.totalTime(at, true);
  };

  /** @param {number} timeS @param {boolean} quiet */
  const seekRoot = (timeS, quiet) => {
    // Past its end a paused timeline reverts its from-tweens; the last state is to be held instead.
    const at = Math.min(timeS, totalDuration(bound));
    place(bound, at, quiet);
    if (quiet || !has(bound, "totalTime") || hasInstantCallback(bound)) return;
    renderAgain(bound, at);
  };

  /** @typedef {{timeline: Timeline, start: number, inPoint: number, rate: number}} Scene */
  /** @returns {Scene[]} registered timelines of compositions other than the root, in the order of their registration */
  const scenes = () => {
    const resolve = fleet.timing.resolver();
    return Object.entries(registry()).flatMap(([id, timeline]) => {
      const node = fleet.timing.compositionById(id);
      if (!timeline || !node || timeline === bound) return [];
      const { inPoint, rate } = fleet.timing;
      return [{ timeline, start: resolve.start(node), inPoint: inPoint(node), rate: rate(node) }];
    });
  };

  /** @returns {Scene[]} those that the root does not move */
  const standing = () => scenes().filter(({ timeline }) => !bound || !isInside(timeline, bound));

  /** GSAP: a paused child does not follow its parent. */
  const wakeNested = () => {
    for (const timeline of Object.values(registry())) {
      if (bound && isInside(timeline, bound) && has(timeline, "paused") && timeline.paused()) timeline.paused(false);
    }
  };

  /** @param {Scene} scene @param {number} timeS @param {boolean} quiet */
  const seekScene = ({ timeline, start, inPoint, rate }, timeS, quiet) => {
    const at = Math.min(inPoint + Math.max(0, timeS - start) * rate, totalDuration(timeline));
    pause(timeline);
    const isStill = has(timeline, "totalTime") && timeline.totalTime() === at;
    place(timeline, at, quiet);
    // GSAP does not render what stays where it is, and tweens take their start values when they are first rendered.
    if (!isStill || begun.has(timeline) || hasInstantCallback(timeline)) return;
    begun.add(timeline);
    renderAgain(timeline, at);
  };

  /** Puts a timeline that no registry of this page knows on its own time. @param {Timeline} timeline @param {number} timeS */
  const seekAlone = (timeline, timeS) => seekScene({ timeline, start: 0, inPoint: 0, rate: 1 }, timeS, false);

  /** Puts every registered timeline on the absolute time. @param {number} timeS @param {boolean} [quiet] */
  const seek = (timeS, quiet = false) => {
    if (Object.values(registry()).some((timeline) => !seen.has(timeline))) bind();
    wakeNested();
    if (bound) seekRoot(timeS, quiet);
    // Those that the root has moved as well: each is at its own time from the first frame on, and tweens of nested
    // scenes that share a target take their start values before one another's motion.
    for (const scene of scenes()) seekScene(scene, timeS, quiet);
  };

  /** @returns {string[]} ids of compositions that should have a timeline and have none */
  const missing = () => {
    const nodes = [...document.querySelectorAll("[data-composition-id]:not([data-no-timeline])")];
    const ids = nodes.map((node) => node.getAttribute("data-composition-id") ?? "");
    return [...new Set(ids)].filter((id) => !registry()[id]);
  };

  /** @returns {number} what the root is declared to last, else how long anything on it does, s */
  const stageLength = () => {
    const stage = fleet.layout.root();
    const declared = fleet.timing.number(stage?.getAttribute("data-duration"));
    if (declared !== null && declared > 0) return declared;
    const animated = duration(bound);
    return Math.max(animated > USABLE_S ? animated : 0, mediaLength(), declaredLength(stage));
  };

  /** @returns {number} length of the film as the page knows it, s */
  const filmLength = () => {
    const stage = fleet.layout.root();
    for (const name of ["data-duration", "data-composition-duration"]) {
      const seconds = fleet.timing.number(stage?.getAttribute(name));
      if (seconds !== null && seconds > 0) return seconds;
    }
    const lengths = fleet.adapters.map((adapter) => (adapter.find() && adapter.length?.()) || 0);
    return Math.max(stageLength(), ...lengths.filter((seconds) => Number.isFinite(seconds) && seconds > USABLE_S));
  };

  const rebind = () => {
    bound = null;
    bind();
  };

  const current = () => bound;
  return Object.freeze({ registry, bind, rebind, seek, seekAlone, isInside, standing, missing, filmLength, stageLength, current, has });
})();
