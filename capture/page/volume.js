// @ts-check
// How loud scripts make <audio> and <video> over the film. Nothing sounds here: the coordinator mixes what is found.

fleet.volume = (() => {
  // The libraries that tween properties of elements; what else moves on the page is not needed to hear it.
  const TWEENING = ["gsap", "anime"];
  // A tween that ends at a moment of its own is met within this; far below what is heard as a step.
  const RATE_HZ = 60;

  /** @type {WeakMap<HTMLMediaElement, number>} */
  const gains = new WeakMap();

  /** @param {HTMLMediaElement} element */
  const gain = (element) => {
    const written = Number.parseFloat(element.dataset.volume ?? "");
    return gains.get(element) ?? (Number.isFinite(written) ? written : 1);
  };

  // An element's own volume ends at 1, and knows nothing of data-volume; tweens take their start values from here.
  if (fleet.config.isListening) {
    Object.defineProperty(HTMLMediaElement.prototype, "volume", {
      configurable: true,
      enumerable: true,
      get() {
        return gain(this);
      },
      set(value) {
        if (!Number.isFinite(Number(value))) throw new TypeError("the volume is not finite");
        gains.set(this, Number(value));
      },
    });
  }

  /** @param {number} timeS */
  const seek = (timeS) => {
    fleet.clock.set(timeS * 1000);
    for (const adapter of fleet.adapters) {
      if (TWEENING.includes(adapter.name) && adapter.find()) adapter.seek(timeS, false);
    }
    window.gsap?.updateRoot?.(timeS);
  };

  /** @returns {HTMLMediaElement[]} */
  const sounding = () => [...document.querySelectorAll("audio[data-hf-render-id], video[data-hf-render-id]")];

  /** Keeps where a level begins and ends to stay. @param {number[][]} points @param {number[]} point */
  const add = (points, point) => {
    const [before, last] = points.slice(-2);
    if (before && last && before[1] === last[1] && last[1] === point[1]) points.pop();
    points.push(point);
  };

  /** Goes through the film once; for a page that is ready and listens. @returns {Promise<Record<string, number[][]>>} */
  const sample = async () => {
    const elements = sounding();
    /** @type {Record<string, number[][]>} */
    const found = Object.fromEntries(elements.map((element) => [element.dataset.hfRenderId, []]));
    const lengthS = fleet.timeline.filmLength();
    const count = Math.ceil(lengthS * RATE_HZ);
    for (let index = 0; index <= count; index++) {
      const timeS = Math.min(index / RATE_HZ, lengthS);
      seek(timeS);
      for (const element of elements) {
        const level = element.muted ? 0 : Math.round(gain(element) * 1e6) / 1e6;
        add(found[element.dataset.hfRenderId ?? ""], [timeS, level]);
      }
    }
    return found;
  };

  return Object.freeze({ sample });
})();
