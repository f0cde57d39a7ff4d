// @ts-check
// From a parsed document to a page that can be seeked: mount, lay out, wait, bind, each step bounded by real time.

fleet.ready = (() => {
  const LIMIT_MS = 0.75 * fleet.config.limitMs; // less than all of it, so that what is late can be named
  const POLL_MS = 50;
  // A page with a broken script will not register what it lacks; peers give the rest of it this long.
  const AFTER_FAILURE_MS = 2000;
  // Polls of a page that has nothing pending and no timeline library: nothing is left that could register.
  const QUIET_POLLS = 6;
  // The same with GSAP there: its author may build a timeline after a timer or an import, which cannot be watched.
  const QUIET_POLLS_WITH_GSAP = 60;

  /** @type {string[]} */
  let active = [];

  const parsed = new Promise((resolve) => {
    if (document.readyState !== "loading") resolve(undefined);
    else document.addEventListener("DOMContentLoaded", () => resolve(undefined), { once: true });
  });

  const prepare = async () => {
    await parsed;
    fleet.visibility.coverContents();
    fleet.layout.apply();
    fleet.variables.apply();
    if (!(await fleet.templates.mount())) return;
    fleet.layout.apply();
    fleet.variables.apply();
    fleet.visibility.reset();
  };
  const prepared = prepare();
  prepared.catch(() => undefined); // reported by ready()

  /** @param {string} what @param {Promise<any>} work */
  const bounded = async (what, work) => {
    try {
      return await fleet.failure.within(work, LIMIT_MS, what);
    } catch (error) {
      throw fleet.failure.wrap(error, "page_not_ready", what);
    }
  };

  /** @returns {number} polls without anything pending after which a missing timeline will not come */
  const patience = () => (window.gsap ? QUIET_POLLS_WITH_GSAP : QUIET_POLLS);

  /** @param {number} sinceMs */
  const hasGivenUp = (sinceMs) => {
    const waitedMs = fleet.clock.real.now() - sinceMs;
    return waitedMs > LIMIT_MS || (waitedMs > AFTER_FAILURE_MS && fleet.activity.failures().length > 0);
  };

  /** Waits for every composition's timeline, or for the certainty that it will not come. */
  const timelines = async () => {
    const sinceMs = fleet.clock.real.now();
    for (let quiet = 0; fleet.timeline.missing().length;) {
      quiet = fleet.activity.isQuiet() ? quiet + 1 : 0;
      if (quiet >= patience() || hasGivenUp(sinceMs)) {
        const ids = fleet.timeline.missing().join(", ");
        fleet.failure.warn("timeline_missing", `no timeline is registered for: ${ids}`);
        return;
      }
      await fleet.failure.sleep(POLL_MS);
    }
  };

  /** Style sheets and child frames, which have no other sign of being there. */
  const loaded = async () => {
    const complete = async () => {
      while (document.readyState !== "complete") await fleet.failure.sleep(POLL_MS);
    };
    try {
      await fleet.failure.within(complete(), LIMIT_MS, "style sheets and frames to load");
    } catch (error) {
      fleet.failure.warn("media_readiness_timeout", fleet.failure.describe(error));
    }
  };

  const adapters = async () => {
    for (const adapter of fleet.adapters) {
      if (adapter.find()) await bounded(`adapter ${adapter.name}`, Promise.resolve(adapter.ready()));
    }
    active = fleet.adapters.filter((adapter) => adapter.find()).map(({ name }) => name);
  };

  /** @returns {number} */
  const length = () => {
    const seconds = fleet.timeline.filmLength();
    const { durationS, fpsNumerator, fpsDenominator } = fleet.config;
    // 0: the length is what the coordinator wants to know.
    if (durationS > 0 && Math.abs(seconds - durationS) > fpsDenominator / fpsNumerator) {
      fleet.failure.warn("duration_mismatch", `the page lasts ${seconds} s, the render ${durationS} s`);
    }
    if (seconds > 0) return seconds;
    const hint = "set data-duration on the root element, or register a timeline under its data-composition-id";
    throw fleet.failure.make("zero_duration", `the composition has no duration: ${hint}`);
  };

  const warnOfLoops = () => {
    // GSAP's own loop follows the clock; asleep, it has no callback in the queue.
    window.gsap?.ticker?.sleep?.();
    const callbacks = fleet.clock.pending();
    window.gsap?.ticker?.wake?.();
    const own = fleet.adapters.reduce((sum, { name, loops }) => sum + (active.includes(name) ? (loops ?? 0) : 0), 0);
    if (callbacks <= own) return;
    const text = "the page runs its own requestAnimationFrame loop: state that it keeps between frames is not seekable";
    fleet.failure.warn("frame_loop", text);
  };

  const sequence = async () => {
    await bounded("the document", prepared);
    await bounded("the stills of <video>", fleet.video.ready());
    await fleet.features.check(); // at once, instead of after waiting for what may never come
    await bounded("the first paint", fleet.paint.first());
    await timelines();
    await loaded();
    fleet.paint.begin(); // to bind a timeline is to make its first updates
    fleet.timeline.bind();
    fleet.frames.hold();
    await adapters();
    await bounded("the stills of <video>", fleet.video.ready()); // scripts may have mounted more of them
    await fleet.features.check();
    await bounded("window.__tailwindReady", Promise.resolve(window.__tailwindReady));
    await bounded("animated images", Promise.resolve(fleet.stills.show(0)));
    await fleet.media.ready();
    await fleet.globals.wrapped();
    await fleet.paint.warmUp();
    // Late registrations, if any, are bound now; the first frame finds everything in place.
    fleet.timeline.bind();
    for (const text of fleet.activity.failures()) fleet.failure.warn("page_error", text);
    warnOfLoops();
    const duration_s = length();
    fleet.globals.publish();
    return { duration_s, warnings: fleet.failure.warnings(), adapters: active };
  };

  /** @type {ReturnType<typeof sequence> | null} */
  let running = null;
  return () => {
    running ??= sequence().catch((error) => {
      throw fleet.failure.wrap(error, "page_not_ready", "the page");
    });
    return running;
  };
})();
