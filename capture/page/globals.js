// @ts-check
// The names that authored pages and packages read; they must exist before any script of the page runs.

fleet.globals = (() => {
  let isReady = false;
  let currentS = 0;

  const duration = () => (isReady ? fleet.timeline.filmLength() : 0);

  /** @param {number} timeS @param {{suppressEvents?: boolean}} [options] */
  const seek = (timeS, options) => {
    currentS = fleet.seek.quantise(timeS);
    fleet.seek.apply(currentS, options?.suppressEvents === true);
  };

  const player = {
    play: () => undefined,
    pause: () => undefined,
    seek,
    renderSeek: seek,
    getTime: () => currentS,
    getDuration: duration,
    isPlaying: () => false,
    setPlaybackRate: () => undefined,
    getPlaybackRate: () => 1,
  };

  /** Widest single line that fits, in steps; measured on a canvas so that no layout is disturbed. */
  const fitTextFontSize = (/** @type {string} */ text, /** @type {Record<string, any>} */ options = {}) => {
    const wanted = {
      maxWidth: 1600,
      baseFontSize: 78,
      minFontSize: 42,
      fontWeight: 900,
      fontFamily: "Outfit",
      step: 2,
      ...options,
    };
    const context = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
    const line = text.trim().replace(/\s+/g, " ");
    for (let size = wanted.baseFontSize; size >= wanted.minFontSize; size -= wanted.step) {
      context.font = `${wanted.fontWeight} ${size}px ${wanted.fontFamily}`;
      if (context.measureText(line).width <= wanted.maxWidth) return { fontSize: size, fits: true };
    }
    return { fontSize: wanted.minFontSize, fits: false };
  };

  const helpers = { getVariables: fleet.variables.getVariables, fitTextFontSize, pretext: fleet.text };

  const hf = /** @type {Record<string, any>} */ (window.__hf && typeof window.__hf === "object" ? window.__hf : {});
  hf.seek = seek;
  Object.defineProperty(hf, "duration", { configurable: true, enumerable: true, get: duration });

  Object.assign(window, {
    __hf: hf,
    __hyperframes: helpers,
    __hfVariables: window.__hfVariables ?? {},
    __hfVariablesByComp: window.__hfVariablesByComp ?? {},
    __HF_RENDER_CAPTURE_MODE: true,
    __HF_EXPORT_RENDER_SEEK_CONFIG: {
      mode: "preview-phase",
      diagnostics: false,
      step: 1 / 120,
      offsetFraction: 0.5,
      fps: fleet.config.fpsNumerator / fleet.config.fpsDenominator,
      fpsSource: "render-options",
      owner: "runtime",
    },
    __player: player,
    __playerReady: false,
    __renderReady: false,
    __hfForceTimelineRebind: () => fleet.timeline.rebind(),
    __hfFlushSync: () => undefined,
    __hfReseekGpu: (/** @type {number} */ timeS) => fleet.seek.announce(timeS, true),
    __hfWaitForSeekCompletion: () => fleet.seek.completion(),
  });

  const publish = () => {
    isReady = true;
    window.__playerReady = true;
    window.__renderReady = true;
  };

  /** One seek through whatever a package has wrapped around `__hf.seek`. @param {number} timeS */
  const seekOutside = (timeS) => {
    const outer = window.__hf?.seek;
    if (typeof outer === "function" && outer !== seek) outer.call(window.__hf, timeS);
    else seek(timeS);
  };

  const wrapped = () => fleet.paint.wrapped(seek);

  return Object.freeze({ publish, seekOutside, wrapped });
})();
