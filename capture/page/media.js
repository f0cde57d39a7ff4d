// @ts-check
// Pictures and fonts that a frame needs: all of them before the first frame, the newly referenced ones before each.

fleet.media = (() => {
  // A still that takes longer than this is missing for good; nothing is fetched from afar while frames are captured.
  const FRAME_LIMIT_MS = fleet.config.limitMs / 4;
  const READY_LIMIT_MS = 0.75 * fleet.config.limitMs;
  // A loaded picture is decoded when it is painted at the latest; with a busy GPU the early decode may be slow.
  const DECODE_LIMIT_MS = 10000;
  // Fonts come with the bundle, so only what never ends takes this long.
  const FONTS_LIMIT_MS = fleet.config.limitMs / 2;
  const GATE_POLL_MS = 5;
  const CSS_URL = /url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^)"'\s]+))\s*\)/g;

  /** Addresses already decoded; the images are kept so that they stay decoded. @type {Map<string, HTMLImageElement>} */
  const decoded = new Map();
  /** @type {WeakMap<HTMLImageElement, string>} */
  const shown = new WeakMap();

  /** @param {HTMLImageElement} image @returns {Promise<void>} */
  const settled = (image) =>
    new Promise((resolve) => {
      if (image.complete) return resolve();
      for (const type of ["load", "error"]) image.addEventListener(type, () => resolve(), { once: true });
    });

  /** @param {HTMLImageElement} image */
  const decode = async (image) => {
    image.loading = "eager"; // a lazy image outside the viewport would never load
    await settled(image);
    const address = image.currentSrc || image.src;
    shown.set(image, address);
    if (image.naturalWidth === 0) {
      if (!address.startsWith("data:")) fleet.failure.warn("media_load_failed", `image ${address} did not load`);
      return;
    }
    await fleet.failure
      .within(image.decode(), DECODE_LIMIT_MS, "its decoding")
      .catch((/** @type {unknown} */ error) => {
        fleet.failure.warn("media_load_failed", `image ${address}: ${fleet.failure.describe(error)}`);
      });
  };

  const newImages = () =>
    [...document.images].filter(
      (image) => (image.src || image.srcset) && shown.get(image) !== image.currentSrc && !fleet.video.owns(image),
    );

  /** @returns {string[]} */
  const newBackgrounds = () => {
    /** @type {Set<string>} */
    const found = new Set();
    for (const element of document.querySelectorAll('[style*="url("]')) {
      const text = element.getAttribute("style") ?? "";
      for (const match of text.matchAll(CSS_URL)) found.add(match[1] ?? match[2] ?? match[3]);
    }
    return [...found].filter((address) => !decoded.has(address) && !address.startsWith("#"));
  };

  /** @param {string} address */
  const decodeBackground = (address) => {
    const image = new Image();
    image.src = address;
    decoded.set(address, image);
    return decode(image);
  };

  /** Nothing to wait for returns null, so that a plain frame costs no turn of the event loop. */
  const pending = () => {
    const images = newImages();
    const backgrounds = newBackgrounds();
    void document.documentElement.offsetHeight; // text that is laid out for the first time asks for its font here
    const isLoadingFonts = document.fonts.status !== "loaded";
    if (!images.length && !backgrounds.length && !isLoadingFonts) return null;
    return Promise.all([...images.map(decode), ...backgrounds.map(decodeBackground), document.fonts.ready]);
  };

  const everyFace = async () => {
    // The browser asks for scripts before its parser has come to them, and to the style sheets between.
    while (!document.querySelector('script[src$="__fleet_fonts.js"]')) await fleet.failure.sleep(GATE_POLL_MS);
    await Promise.allSettled([...document.fonts].map((face) => face.load()));
  };

  /**
   * Before the page's own scripts run: what they measure has its size with its font only, and Chromium loads even a
   * font that stands in the document later than it lays out text in it. All of them, for scripts make text, too.
   * @returns {Promise<void>}
   */
  const fonts = async () => {
    try {
      await fleet.failure.within(everyFace(), FONTS_LIMIT_MS, "fonts");
    } catch (error) {
      fleet.failure.warn("media_readiness_timeout", fleet.failure.describe(error));
    }
  };

  /** @returns {Promise<boolean>} once what this frame shows for the first time can be painted: whether there was any */
  const frameReady = async () => {
    const work = pending();
    if (work) await fleet.failure.within(work, FRAME_LIMIT_MS, "images and fonts of this frame");
    return work !== null;
  };

  /** @returns {Promise<void>} */
  const ready = async () => {
    try {
      await fleet.failure.within(Promise.resolve(pending()), READY_LIMIT_MS, "images and fonts");
    } catch (error) {
      fleet.failure.warn("media_readiness_timeout", fleet.failure.describe(error));
    }
  };

  return Object.freeze({ fonts, ready, frameReady });
})();
