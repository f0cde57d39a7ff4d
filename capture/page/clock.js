// @ts-check
// The page's clock: Date, performance.now and requestAnimationFrame stand still between seeks.
// Timers, microtasks and promises stay real, because the page needs them to load. Runs in every frame of the page.

fleet.clock = (() => {
  const RealDate = window.Date;
  const real = Object.freeze({
    now: performance.now.bind(performance),
    setTimeout: window.setTimeout.bind(window),
    clearTimeout: window.clearTimeout.bind(window),
    setInterval: window.setInterval.bind(window),
    clearInterval: window.clearInterval.bind(window),
    requestAnimationFrame: window.requestAnimationFrame.bind(window),
    cancelAnimationFrame: window.cancelAnimationFrame.bind(window),
  });

  let nowMs = 0;
  let lastId = 0;
  /** @type {Map<number, FrameRequestCallback>} */
  let queue = new Map();
  /** @type {Map<number, FrameRequestCallback>} */
  let flushing = new Map();

  /** @this {unknown} @param {...any} parts */
  function VirtualDate(...parts) {
    if (!new.target) return new RealDate(nowMs).toString();
    const made = new.target === VirtualDate ? RealDate : new.target;
    return Reflect.construct(RealDate, parts.length ? parts : [nowMs], made);
  }
  Object.setPrototypeOf(VirtualDate, RealDate);
  VirtualDate.prototype = RealDate.prototype;
  VirtualDate.prototype.constructor = VirtualDate;
  VirtualDate.now = () => nowMs;

  /** @param {number} timeMs */
  const set = (timeMs) => {
    nowMs = Math.max(0, Number(timeMs) || 0);
  };

  /** Runs what was requested before this call, once; what is requested meanwhile waits for the next frame. */
  const flush = () => {
    flushing = queue;
    queue = new Map();
    for (const [id, callback] of [...flushing]) {
      if (flushing.delete(id)) callback(nowMs);
    }
  };

  /** @param {FrameRequestCallback} callback */
  const request = (callback) => {
    if (typeof callback !== "function") throw new TypeError("requestAnimationFrame: the callback is not a function");
    queue.set(++lastId, callback);
    return lastId;
  };

  /** @param {number} id */
  const cancel = (id) => {
    queue.delete(id);
    flushing.delete(id);
  };

  const define = (/** @type {object} */ target, /** @type {string} */ name, /** @type {unknown} */ value) =>
    Object.defineProperty(target, name, { configurable: true, writable: true, value });
  define(window, "Date", VirtualDate);
  define(window, "requestAnimationFrame", request);
  define(window, "cancelAnimationFrame", cancel);
  define(performance, "now", () => nowMs);
  // Authored packages take its presence to mean: a renderer drives time. Parent frames use it to reach child frames.
  define(window, "__HF_VIRTUAL_TIME__", {
    originalSetTimeout: real.setTimeout,
    originalClearTimeout: real.clearTimeout,
    originalSetInterval: real.setInterval,
    originalClearInterval: real.clearInterval,
    originalRequestAnimationFrame: real.requestAnimationFrame,
    originalCancelAnimationFrame: real.cancelAnimationFrame,
    getTime: () => nowMs,
    seekToTime: (/** @type {number} */ timeMs) => {
      set(timeMs);
      fleet.random.seed(nowMs);
      flush();
      return nowMs;
    },
  });

  return Object.freeze({ real, set, flush, now: () => nowMs, pending: () => queue.size });
})();
