// @ts-check
// What this renderer does not cover, found on the live page. A page that really uses one of these is refused by name:
// a frame that is silently wrong costs more than no frame.

fleet.features = (() => {
  /** @param {string} selector */
  const present = (selector) => document.querySelector(selector) !== null;
  const list = (/** @type {unknown} */ value) => (Array.isArray(value) ? value : []);

  /** @returns {boolean} whether a child frame is closed to us, so that its clock cannot be driven */
  const hasForeignFrame = () =>
    [...document.querySelectorAll("iframe")].some((frame) => {
      try {
        return frame.contentWindow !== null && !frame.contentWindow.document;
      } catch {
        return true;
      }
    });

  const isMapPage = () =>
    ["__hfMapbox", "__hfLeaflet", "__hfGoogleMaps", "__hfMaplibre"].some((name) => list(window[name]).length > 0) ||
    present(".mapboxgl-map,.maplibregl-map,.leaflet-container,.gm-style");

  /** Whether a script went on as if WebGPU were there, and broke. */
  const brokeWithoutWebGpu = () =>
    fleet.activity.failures().some((text) => /'(requestAdapter|getPreferredCanvasFormat)'/.test(text));

  /** @type {[string, () => boolean][]} */
  const FEATURES = [
    ["a <video> that a script makes, or gives another source", () => fleet.video.hasStrays()],
    ["WebGPU (data-requires-webgpu)", () => present("[data-requires-webgpu]")],
    ["WebGPU, without which a script fails", brokeWithoutWebGpu],
    ["live maps", isMapPage],
    ["shader transitions without a compositor (HyperShader)", fleet.paint.lacksCompositor],
    ["colour grading (data-color-grading)", () => present("[data-color-grading]")],
    ["studio position edits (data-hf-edit-base-x)", () => present("[data-hf-edit-base-x],[data-hf-edit-base-y]")],
    ["data-composition-src at run time", () => present("[data-composition-src]")],
    ["iframes of another origin", hasForeignFrame],
  ];

  /** @param {HTMLImageElement} image @returns {Promise<boolean>} */
  const isAnimated = async (image) => {
    if (fleet.stills.isDriven(image)) return false;
    const extension = /\.(gif|webp|apng)$/i.exec(new URL(image.currentSrc || image.src, document.baseURI).pathname);
    const decoder = Reflect.get(window, "ImageDecoder");
    if (!extension || !decoder) return false;
    const type = `image/${extension[1].toLowerCase().replace("apng", "png")}`;
    try {
      const data = await (await fetch(image.currentSrc || image.src)).arrayBuffer();
      const decoding = new decoder({ data, type });
      await decoding.tracks.ready;
      return (decoding.tracks.selectedTrack?.frameCount ?? 1) > 1;
    } catch {
      return false; // missing or broken images are reported where images are awaited
    }
  };

  /** Rejects with the names of all uncovered features in use. */
  const check = async () => {
    const names = FEATURES.filter(([, isUsed]) => isUsed()).map(([name]) => name);
    names.push(...fleet.eases.unknown());
    const animated = await Promise.all([...document.images].map(isAnimated));
    if (animated.some(Boolean)) names.push("animated images");
    if (names.length) throw fleet.failure.make("feature_unsupported", `not supported yet: ${names.join("; ")}`);
  };

  return Object.freeze({ check });
})();
