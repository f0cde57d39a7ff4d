// @ts-check
// The pictures of <video>: stills made beforehand stand in for each element, on the page and where scripts draw it.
// Which still a frame shows is looked up in a table that came with the stills; nothing is computed here.

fleet.video = (() => {
  const FOLDER = `${location.origin}/__fleet_stills/`;
  const RENDER_ID = "data-hf-render-id";
  const CLASS = "__render_frame__"; // authored styles select it
  // What places and paints a box; its size and opacity are written apart, everything else is the still's own.
  const COPIED = (
    "object-fit object-position z-index filter mix-blend-mode backdrop-filter border-width border-style border-color " +
    "border-radius overflow clip-path mask mask-image mask-size mask-position mask-repeat transform transform-origin " +
    "translate rotate scale"
  ).split(" ");

  /** @typedef {{first: number, stills: number[], width: number, height: number, duration: number | null}} Slot */
  /** @typedef {{slot: Slot, image: HTMLImageElement, name: string, isActive: boolean, coming: HTMLImageElement}} Stand */

  /** @type {{names: string[], videos: Record<string, Slot>} | null} */
  let table = null;
  /** @type {Map<HTMLVideoElement, Stand>} */
  const stands = new Map();
  /** @type {Map<HTMLVideoElement, Map<number, Function>>} */
  const callbacks = new Map();
  let lastCallback = 0;
  let loading = 0;

  /** @param {string} selector @returns {HTMLVideoElement[]} */
  const videos = (selector) => [...document.querySelectorAll(selector)].map((one) => /** @type {any} */ (one));

  /** Scripts find what a video that has loaded says of itself. @param {HTMLVideoElement} video @param {Slot} slot */
  const describe = (video, slot) => {
    const facts = {
      videoWidth: slot.width,
      videoHeight: slot.height,
      duration: slot.duration ?? Infinity,
      readyState: HTMLMediaElement.HAVE_ENOUGH_DATA,
    };
    for (const [name, value] of Object.entries(facts)) {
      Object.defineProperty(video, name, { configurable: true, get: () => value });
    }
    for (const type of ["loadedmetadata", "loadeddata", "canplay", "canplaythrough"]) {
      video.dispatchEvent(new Event(type));
    }
  };

  /** @param {HTMLVideoElement} video @param {string} identity @param {Slot} slot */
  const stand = (video, identity, slot) => {
    const image = new Image();
    image.className = CLASS;
    image.id = `__render_frame_${identity}__`;
    image.decoding = "sync";
    image.style.pointerEvents = "none";
    image.style.position = "absolute";
    image.style.setProperty("visibility", "hidden", "important");
    stands.set(video, { slot, image, name: "", isActive: false, coming: new Image() });
    describe(video, slot);
  };

  /** Finds the page's videos; may be repeated after content was mounted. */
  const ready = async () => {
    const found = videos(`video[${RENDER_ID}]`).filter((video) => !stands.has(video));
    if (!found.length) return;
    table ??= await (await fetch(`${FOLDER}table.json`)).json();
    for (const video of found) {
      const identity = video.getAttribute(RENDER_ID) ?? "";
      const slot = table?.videos[identity];
      if (slot) stand(video, identity, slot);
    }
    place();
  };

  /** @returns {boolean} whether a video wants to show what nobody made stills of */
  const hasStrays = () =>
    videos("video[src],video:has(source)").some((video) => !stands.has(video) && !video.closest("[data-hidden]"));

  /** The still that a frame shows, if any. @param {Slot} slot @param {number} frame @returns {string} */
  const nameOf = (slot, frame) => table?.names[slot.stills[frame - slot.first]] ?? "";

  /** @param {Stand} stand @param {number} frame @returns {Promise<void> | null} */
  const turn = (stand, frame) => {
    stand.isActive = frame - stand.slot.first in stand.slot.stills;
    const name = nameOf(stand.slot, frame);
    if (!name || name === stand.name) return null;
    stand.name = name;
    // Not decode(), which waits for a frame of the browser: a still that is there is decoded when it is first drawn.
    return new Promise((resolve, reject) => {
      stand.image.onload = () => resolve(undefined);
      stand.image.onerror = () => reject(new Error(`the still ${name} of a video cannot be shown`));
      stand.image.src = FOLDER + name;
    });
  };

  /** Has the stills of a later frame come while another one is drawn: the browser keeps them. @param {number} frame */
  const expect = (frame) => {
    for (const { slot, name, coming } of stands.values()) {
      const next = nameOf(slot, frame);
      if (next && next !== name) coming.src = FOLDER + next;
    }
  };

  /** Runs what requestVideoFrameCallback was given for the videos that show something. */
  const callBack = () => {
    for (const [video, waiting] of callbacks) {
      const stand = stands.get(video);
      if (!stand?.isActive) continue;
      callbacks.delete(video);
      const metadata = { width: stand.slot.width, height: stand.slot.height, mediaTime: 0, presentedFrames: 1 };
      for (const callback of waiting.values()) callback(fleet.clock.now(), metadata);
    }
  };

  /** @param {number} frame absolute @returns {Promise<boolean>} once its stills can be drawn: whether any is new */
  const load = async (frame) => {
    const work = [...stands.values()].map((stand) => turn(stand, frame)).filter((one) => one !== null);
    loading += work.length;
    if (work.length) await Promise.all(work).finally(() => (loading -= work.length));
    callBack();
    return work.length > 0;
  };

  /** Whether an element around hides the video: a still that is visible would shine through. @param {Element} video */
  const isCovered = (video) => {
    for (let node = video.parentElement; node && node !== document.documentElement; node = node.parentElement) {
      const style = getComputedStyle(node);
      if (style.display === "none") return true;
      const isHost = node.hasAttribute("data-composition-src") || node.hasAttribute("data-composition-file");
      if (isHost && style.visibility === "hidden") return true;
    }
    return false;
  };

  /** @param {HTMLVideoElement} video @param {HTMLImageElement} image */
  const dress = (video, image) => {
    const style = getComputedStyle(video);
    for (const property of COPIED) {
      const value = style.getPropertyValue(property);
      if (image.style.getPropertyValue(property) !== value) image.style.setProperty(property, value);
    }
    const box = {
      inset: "auto",
      left: `${video.offsetLeft}px`,
      top: `${video.offsetTop}px`,
      width: `${video.offsetWidth}px`,
      height: `${video.offsetHeight}px`,
      "box-sizing": "border-box", // as those lengths have it
      opacity: style.opacity,
      visibility: "visible",
    };
    for (const [property, value] of Object.entries(box)) image.style.setProperty(property, value);
  };

  /** Puts the stills where the videos are, after all that moves has moved. */
  const place = () => {
    for (const [video, { image, isActive, name }] of stands) {
      if (video.isConnected && video.nextElementSibling !== image) video.after(image);
      if (isActive && name && !isCovered(video)) dress(video, image);
      else image.style.setProperty("visibility", "hidden", "important");
      // By visibility alone: authors animate opacity, which the still follows.
      video.style.setProperty("visibility", "hidden", "important");
      video.style.setProperty("pointer-events", "none", "important");
    }
  };

  /** What is drawn for a video that shows nothing at this time. @param {Slot} slot */
  const empty = ({ width, height }) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    return canvas;
  };

  /** @param {unknown} source */
  const standIn = (source) => {
    const stand = source instanceof HTMLVideoElement ? stands.get(source) : undefined;
    if (!stand) return source;
    return stand.isActive && stand.name ? stand.image : empty(stand.slot);
  };

  /** Lets `target[name]` draw stills where it is given videos. @param {any} target @param {string} name */
  const substitute = (target, name) => {
    const real = target?.[name];
    if (typeof real !== "function") return;
    /** @this {unknown} @param {any[]} parts */
    target[name] = function (...parts) {
      return real.apply(this, parts.map(standIn));
    };
  };
  for (const kind of ["CanvasRenderingContext2D", "OffscreenCanvasRenderingContext2D"]) {
    for (const name of ["drawImage", "createPattern"]) substitute(window[kind]?.prototype, name);
  }
  for (const kind of ["WebGLRenderingContext", "WebGL2RenderingContext"]) {
    for (const name of ["texImage2D", "texSubImage2D", "texImage3D", "texSubImage3D"]) {
      substitute(window[kind]?.prototype, name);
    }
  }
  substitute(window, "createImageBitmap");

  // Nothing loads and nothing plays: a host has the stills only, and they follow the frame.
  const video = HTMLVideoElement.prototype;
  Object.defineProperty(video, "play", { configurable: true, writable: true, value: () => Promise.resolve() });
  Object.defineProperty(video, "load", { configurable: true, writable: true, value: () => undefined });
  /** @this {HTMLVideoElement} @param {Function} callback */
  video.requestVideoFrameCallback = function (callback) {
    const waiting = callbacks.get(this) ?? new Map();
    callbacks.set(this, waiting.set(++lastCallback, callback));
    return lastCallback;
  };
  /** @this {HTMLVideoElement} @param {number} id */
  video.cancelVideoFrameCallback = function (id) {
    callbacks.get(this)?.delete(id);
  };

  return Object.freeze({
    ready,
    hasStrays,
    load,
    expect,
    place,
    isUsed: () => stands.size > 0,
    isLoading: () => loading > 0,
    owns: (/** @type {Element} */ image) => image.classList.contains(CLASS),
  });
})();
