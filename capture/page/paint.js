// @ts-check
// Drawing that needs painted elements: html-in-canvas, and shader transitions that are made of it. What a canvas may
// read of an element is what was painted last, so a frame is sought, painted once, and only then drawn.

fleet.paint = (() => {
  const SEEK_WRAP_LIMIT_MS = 10000;
  // Pages wait for two animation frames before they take their elements for painted.
  const WARM_UP_FRAMES = 3;

  /** Elements are at their new places and not painted there yet; while the page loads they may not be either. */
  let isEarly = true;
  /** The stage of a seek that runs, and those in which elements were drawn. */
  let stage = "";
  /** @type {Set<string>} */
  let stages = new Set();
  let draws = 0;
  /** Animations whose update callback was called once painted, and whether it draws elements. @type {Map<any, boolean>} */
  const examined = new Map();

  /** @param {unknown} error */
  const isUnpainted = (error) => isEarly && error instanceof DOMException && error.name === "InvalidStateError";

  /**
   * Pages were written for six arguments, those of texImage2D; browsers came to want three.
   * @param {any} gl @param {any[]} parameters
   */
  const textureArguments = (gl, parameters) => {
    const [target, level, , , , element] = parameters;
    return element instanceof Element && level === 0 ? [target, gl.RGBA8, element] : parameters;
  };

  /** Counts calls; those before the paint may find nothing painted, and are made again after it. */
  const watch = (/** @type {any} */ prototype, /** @type {string} */ name) => {
    const original = prototype?.[name];
    if (typeof original !== "function") return;
    /** @this {any} @param {any[]} parameters */
    prototype[name] = function (...parameters) {
      draws += 1;
      if (isEarly) stages.add(stage);
      try {
        const isShort = name === "texElementImage2D" && original.length < 6;
        return original.apply(this, isShort ? textureArguments(this, parameters) : parameters);
      } catch (error) {
        if (!isUnpainted(error)) throw error;
        return new DOMMatrix();
      }
    };
  };
  watch(CanvasRenderingContext2D.prototype, "drawElementImage");
  for (const context of [window.WebGLRenderingContext, window.WebGL2RenderingContext]) {
    for (const name of ["texElementImage2D", "texElementSubImage2D"]) watch(context?.prototype, name);
  }
  // Read by the shader transitions' package when it starts: whoever drives this page gives it a paint when it asks.
  if ("drawElementImage" in CanvasRenderingContext2D.prototype) window.__HF_PAGE_SIDE_COMPOSITING__ = true;

  const drawsElements = () =>
    "drawElementImage" in CanvasRenderingContext2D.prototype && !!document.querySelector("canvas[layoutsubtree]");
  const hasCompositor = () => typeof window.__hf_page_composite_prepare === "function";

  /** Whether a transition asks for a shader that no one on this page would draw. */
  const lacksCompositor = () => {
    const transitions = window.__hf?.transitions;
    return Array.isArray(transitions) && transitions.some((one) => one?.shader) && !hasCompositor();
  };

  /** A seek begins. */
  const begin = () => {
    isEarly = true;
    stages = new Set();
    stage = "";
  };

  /** @param {string} name what runs from here on */
  const mark = (name) => {
    stage = name;
  };

  /** A seek is done but for the picture. @returns {Promise<boolean>} whether a paint and `draw` must follow */
  const prepare = async () => {
    isEarly = false;
    if (window.__hf_page_composite_pending) await window.__hf_page_composite_prepare?.();
    return !!window.__hf_page_composite_pending || drawsElements();
  };

  /** @param {any} animation @returns {boolean} whether the playhead has reached it */
  const hasStarted = (animation) => {
    for (let node = animation; node.parent && node.parent !== window.gsap?.globalTimeline; node = node.parent) {
      if (node.parent.time() < node.startTime()) return false;
    }
    return true;
  };

  /** What drew is drawn again, also what has ended: after a jump it was never drawn from painted elements. */
  const update = () => {
    for (const animation of fleet.waypoints.updating()) {
      const known = examined.get(animation);
      const isRunning = animation.totalProgress() < 1 && (stages.has("timelines") || known === true);
      if (!hasStarted(animation) || (known === false && !isRunning)) continue;
      const before = draws;
      const { onUpdate, onUpdateParams, callbackScope } = animation.vars;
      onUpdate.apply(callbackScope ?? animation, onUpdateParams ?? []);
      examined.set(animation, known === true || draws > before);
    }
  };

  /** Draws from painted elements what the last seek drew too early. @param {number} timeS @returns {Promise<void>} */
  const draw = async (timeS) => {
    isEarly = false;
    if (drawsElements()) update();
    if (stages.has("listeners")) fleet.seek.announce(timeS, true);
    await fleet.seek.completion();
    if (stages.has("callbacks")) fleet.clock.flush();
    if (window.__hf_page_composite_pending) window.__hf_page_composite_resolve?.();
  };

  /** The compositor of shader transitions wraps `__hf.seek` on a timer. @param {unknown} own the one it will wrap */
  const wrapped = async (own) => {
    const sinceMs = fleet.clock.real.now();
    while (hasCompositor() && window.__hf.seek === own) {
      if (fleet.clock.real.now() - sinceMs > SEEK_WRAP_LIMIT_MS) {
        throw fleet.failure.make("page_not_ready", "the shader transitions did not start within 10 s");
      }
      await fleet.failure.sleep(10);
    }
  };

  const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = fleet.clock.real;
  /** Timers that were due before elements were painted, in that order. @type {{ id: number, run: () => void }[]} */
  let held = [];
  let isPainted = false;

  /**
   * A page that draws elements waits with a timer for them to be painted. How soon they are is a matter of luck, so
   * its timers come after the first paint.
   * @param {any} handler @param {number} [delayMs] @param {any[]} parameters @returns {number}
   */
  const setTimeoutAfterPaint = (handler, delayMs, ...parameters) => {
    if (typeof handler !== "function") return realSetTimeout(handler, delayMs, ...parameters);
    const run = () => handler.apply(window, parameters);
    const due = () => void (isPainted || !drawsElements() ? run() : held.push({ id, run }));
    const id = realSetTimeout(due, delayMs);
    return id;
  };
  window.setTimeout = /** @type {any} */ (setTimeoutAfterPaint);
  window.clearTimeout = (/** @type {number} */ id) => {
    held = held.filter((one) => one.id !== id);
    realClearTimeout(id);
  };

  /** The first paint of a page that draws elements, and what its timers have waited for it to do. */
  const first = async () => {
    // The second animation frame comes after the paint of the first.
    for (let frame = 0; frame < 2 && drawsElements(); frame += 1) {
      await new Promise((resolve) => fleet.clock.real.requestAnimationFrame(resolve));
    }
    isPainted = true;
    for (let next = held.shift(); next; next = held.shift()) {
      const { run } = next;
      // A task of its own, so that one that throws stops no other.
      await new Promise((resolve) => realSetTimeout(() => (resolve(undefined), run()), 0));
    }
  };

  /** Lets a page that waits for its elements to be painted see that they are. */
  const warmUp = async () => {
    if (!drawsElements()) return;
    for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) {
      await new Promise((resolve) => fleet.clock.real.requestAnimationFrame(resolve));
      fleet.clock.flush();
    }
  };

  return Object.freeze({ lacksCompositor, begin, mark, prepare, draw, wrapped, first, warmUp });
})();
