// @ts-check
// One absolute seek: everything on the page that moves is put where it belongs at a time, in a fixed order.
// Nothing here waits for a real animation frame or a paint: there are none between two captures.

fleet.seek = (() => {
  // Timelines first, for their callbacks may start other animations. CSS decides over WAAPI for its own elements.
  const FIRST = ["gsap"];
  const AFTER_VISIBILITY = ["waapi", "css"];
  const COMPLETION_LIMIT_MS = fleet.config.limitMs / 2;

  let lastAnnouncedS = -1;
  let lastFrame = -1;
  /** @type {Promise<unknown>[]} */
  let completions = [];

  const numerator = fleet.config.fpsNumerator;
  const denominator = fleet.config.fpsDenominator;

  /** Seconds of an absolute frame. @param {number} frame */
  const timeOf = (frame) => (frame * denominator) / numerator;

  /** @param {string[]} names @param {boolean} wanted */
  const pick = (names, wanted) => fleet.adapters.filter(({ name }) => names.includes(name) === wanted);
  const phases = () => ({
    before: [...pick(FIRST, true), ...pick([...FIRST, ...AFTER_VISIBILITY], false)],
    after: AFTER_VISIBILITY.flatMap((name) => pick([name], true)),
  });

  /** @param {string} what @param {() => void} act */
  const step = (what, act) => {
    try {
      act();
    } catch (error) {
      throw fleet.failure.wrap(error, "seek_failed", `${what} threw`);
    }
  };

  /** @param {Adapter[]} adapters @param {number} timeS @param {boolean} quiet */
  const run = (adapters, timeS, quiet) => {
    for (const adapter of adapters) {
      if (adapter.find()) step(`adapter ${adapter.name}`, () => adapter.seek(timeS, quiet));
    }
  };

  /** @param {number} timeS */
  const advance = (timeS) => {
    for (const adapter of fleet.adapters) step(`adapter ${adapter.name}`, () => adapter.advance?.(timeS));
  };

  /** Tells listeners to draw this time; what they pass to waitUntil is awaited. @param {number} timeS */
  const dispatch = (timeS) => {
    let isOpen = true;
    const waitUntil = (/** @type {PromiseLike<unknown>} */ work) => {
      if (!isOpen) throw new Error("hf-seek: waitUntil() must be called while the event is dispatched");
      const completion = Promise.resolve(work);
      completion.catch(() => undefined); // awaited later; until then it is not unhandled
      completions.push(completion);
    };
    // Exceptions in listeners do not reach dispatchEvent; they are reported to the window.
    /** @type {unknown[]} */
    const thrown = [];
    const onError = (/** @type {ErrorEvent} */ event) => void thrown.push(event.error ?? event.message);
    window.addEventListener("error", onError);
    window.dispatchEvent(new CustomEvent("hf-seek", { detail: { time: timeS, waitUntil } }));
    window.removeEventListener("error", onError);
    isOpen = false;
    if (thrown.length) throw thrown[0];
  };

  /** @param {number} timeS @param {boolean} again even if this time was announced before */
  const announce = (timeS, again) => {
    window.__hfThreeTime = timeS;
    window.__hfTypegpuTime = timeS;
    if (timeS === lastAnnouncedS && !again) return;
    lastAnnouncedS = timeS;
    step("a listener of hf-seek", () => dispatch(timeS));
  };

  /** Time and chance of the frame, whatever frame was captured before. @param {number} timeS */
  const tell = (timeS) => {
    fleet.clock.set(timeS * 1000);
    fleet.random.seed(timeS * 1000);
  };

  /** One absolute seek, its synchronous part. @param {number} timeS @param {boolean} [quiet] no timeline callbacks */
  const apply = (timeS, quiet = false) => {
    const { before, after } = phases();
    tell(timeS);
    advance(timeS);
    fleet.paint.mark("timelines");
    run(before, timeS, quiet);
    fleet.paint.mark("listeners");
    announce(timeS, false);
    step("visibility", () => fleet.visibility.apply(timeS));
    run(after, timeS, quiet);
    // Told again: how many numbers were drawn before depends on how far the seek jumped.
    tell(timeS);
    fleet.paint.mark("callbacks");
    step("a requestAnimationFrame callback", fleet.clock.flush);
    step("a child frame", () => fleet.frames.seek(timeS * 1000));
    fleet.paint.mark("listeners"); // what is still to come is what they promised
  };

  /** What a jump does at the frames it must not skip: moves, starts and ends things, and draws nothing. */
  const pass = (/** @type {number} */ frame) => {
    const timeS = timeOf(frame);
    const { before, after } = phases();
    tell(timeS);
    advance(timeS);
    run(before, timeS, false);
    step("visibility", () => fleet.visibility.apply(timeS));
    run(after, timeS, false);
    step("gsap", () => window.gsap?.updateRoot?.(timeS));
  };

  /** @returns {Promise<void>} once all that listeners passed to waitUntil is done */
  const completion = async () => {
    while (completions.length) {
      const waiting = completions;
      completions = [];
      await Promise.all(waiting);
    }
  };

  /** @param {number} frame @returns {Promise<boolean>} */
  const videoReady = async (frame) => {
    try {
      return await fleet.failure.within(fleet.video.load(frame), COMPLETION_LIMIT_MS, "stills of videos");
    } catch (error) {
      throw fleet.failure.wrap(error, "seek_failed", `frame ${frame}`);
    }
  };

  /**
   * Resolves once the frame can be painted: whether it is to be painted before `draw`, and whether it shows pictures
   * or fonts that no frame before it did.
   * @param {number} frame absolute
   * @param {number} [next] the frame that will be sought after it
   * @returns {Promise<{needsPaint: boolean, hasLoaded: boolean}>}
   */
  const toFrame = async (frame, next) => {
    if (!Number.isSafeInteger(frame) || frame < 0) {
      throw fleet.failure.make("seek_failed", `frame must be a whole number, not negative: ${frame}`);
    }
    fleet.paint.begin();
    // Before anything is drawn: scripts that draw a video draw the still of this frame, however they came here.
    const hasStills = fleet.video.isUsed() && (await videoReady(frame));
    step("a callback", () => fleet.waypoints.travel(lastFrame, frame, pass));
    lastFrame = frame;
    step("a wrapper of __hf.seek", () => fleet.globals.seekOutside(timeOf(frame)));
    try {
      await fleet.failure.within(completion(), COMPLETION_LIMIT_MS, "promises passed to hf-seek's waitUntil");
      const stills = fleet.stills.show(timeOf(frame));
      if (stills) await fleet.failure.within(stills, COMPLETION_LIMIT_MS, "stills of animated images");
      fleet.video.place();
      const needsPaint = await fleet.paint.prepare();
      const hasMedia = await fleet.media.frameReady();
      step("redraw", () => fleet.redraw.prepare(frame));
      if (next !== undefined) fleet.video.expect(next);
      return { needsPaint, hasLoaded: hasStills || stills !== null || hasMedia };
    } catch (error) {
      throw fleet.failure.wrap(error, "seek_failed", `frame ${frame}`);
    }
  };

  /** Draws what waited for a paint of the frame sought last. @returns {Promise<void>} */
  const draw = async () => {
    try {
      await fleet.failure.within(fleet.paint.draw(timeOf(lastFrame)), COMPLETION_LIMIT_MS, "drawing of elements");
    } catch (error) {
      throw fleet.failure.wrap(error, "seek_failed", `frame ${lastFrame}, drawing`);
    }
  };

  /** @param {number} timeS @returns {number} the time of the frame that shows `timeS` */
  const quantise = (timeS) => timeOf(Math.floor((Math.max(0, Number(timeS) || 0) * numerator) / denominator + 1e-9));

  return Object.freeze({ apply, announce, completion, quantise, toFrame, draw });
})();
