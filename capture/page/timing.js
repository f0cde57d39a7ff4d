// @ts-check
// When things happen: the grammar of `data-start`, the resolution of starts and durations, in seconds.
// Reads the document, changes nothing. A resolver is made per question round, because scripts may edit attributes.

fleet.timing = (() => {
  const REFERENCE = /^[A-Za-z0-9_.:-]+$/;
  // The shortest tail that is an offset: `intro - 0.5`, and `a-2` only when no element is called that.
  const OFFSET = /^(.*?)\s*([+-])\s*(\d+(?:\.\d+)?|\.\d+)$/;

  /** @param {string | null | undefined} text @returns {number | null} a finite number, strictly parsed */
  const number = (text) => {
    if (text == null || text.trim() === "") return null;
    const value = Number(text);
    return Number.isFinite(value) ? value : null;
  };

  /**
   * @param {string | null} text
   * @returns {{at: number} | {after: string, offset: number} | null}
   */
  const parseStart = (text) => {
    const trimmed = (text ?? "").trim();
    const at = number(trimmed);
    if (at !== null) return { at };
    if (REFERENCE.test(trimmed)) return { after: trimmed, offset: 0 };
    const match = OFFSET.exec(trimmed);
    if (!match || !REFERENCE.test(match[1])) return null;
    return { after: match[1], offset: Number(match[3]) * (match[2] === "-" ? -1 : 1) };
  };

  /** @param {Element} element @param {...string} names */
  const firstNumber = (element, ...names) => {
    for (const name of names) {
      const value = number(element.getAttribute(name));
      if (value !== null) return value;
    }
    return null;
  };

  /** Seconds into the source at which it starts to play. @param {Element} element */
  const inPoint = (element) => Math.max(0, firstNumber(element, "data-playback-start", "data-media-start") ?? 0);

  /** @param {Element} element */
  const rate = (element) => {
    const value = number(element.getAttribute("data-playback-rate"));
    return value === null || value <= 0 ? 1 : Math.min(5, Math.max(0.1, value));
  };

  /** @param {string} id */
  const compositionById = (id) => document.querySelector(`[data-composition-id="${CSS.escape(id)}"]`);

  /** @param {string | null} id @returns {number | null} of the live timeline, seconds > 0 */
  const timelineDuration = (id) => {
    const timeline = id ? fleet.timeline.registry()[id] : null;
    const seconds = timeline && typeof timeline.duration === "function" ? Number(timeline.duration()) : NaN;
    return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
  };

  const isMedia = (/** @type {Element} */ element) => element instanceof HTMLMediaElement;

  const resolver = () => {
    /** @type {Map<Element, number | null>} */
    const starts = new Map();
    /** @type {Map<Element, number | null>} */
    const durations = new Map();
    /** @type {Set<Element>} */
    const visiting = new Set();

    /** @param {Element} element @returns {number} start of the composition that the element's numbers count from */
    const hostStart = (element) => {
      const isComposition = element.hasAttribute("data-composition-id");
      const from = isComposition ? element.parentElement : element;
      const host = from?.closest("[data-composition-id]");
      return host ? start(host) : 0;
    };

    /** @param {Element} element @returns {number | null} */
    const startWithout = (element) => {
      // A mounted file's own root carries no data-start; its host does.
      const parent = element.hasAttribute("data-composition-id") ? element.parentElement : null;
      const isHosted = parent?.matches("[data-composition-src],[data-composition-id],[data-composition-file]");
      return parent && isHosted ? start(parent) : null;
    };

    /** @param {string} id @param {number} offset @returns {number | null} */
    const startAfter = (id, offset) => {
      const target = document.getElementById(id) ?? compositionById(id);
      return target ? Math.max(0, start(target) + (duration(target) ?? 0) + offset) : null;
    };

    /** @param {Element} element @returns {number | null} */
    const computeStart = (element) => {
      const parsed = parseStart(element.getAttribute("data-start"));
      if (!parsed) return startWithout(element);
      if ("at" in parsed) return Math.max(0, hostStart(element) + Math.max(0, parsed.at));
      return startAfter(parsed.after, parsed.offset);
    };

    /** Absolute start in seconds; `fallback` when nothing says it. @param {Element} element @param {number} fallback */
    function start(element, fallback = 0) {
      const known = starts.get(element);
      if (known !== undefined) return known ?? fallback;
      if (visiting.has(element)) return fallback; // a cycle of references
      visiting.add(element);
      try {
        const found = computeStart(element);
        starts.set(element, found);
        return found ?? fallback;
      } finally {
        visiting.delete(element);
      }
    }

    /** @param {Element} element @returns {number | null} */
    const authoredDuration = (element) => {
      const length = firstNumber(element, "data-duration", "data-hf-authored-duration");
      if (length !== null && length > 0) return length;
      const end = firstNumber(element, "data-end", "data-hf-authored-end");
      const rest = end === null ? 0 : end - start(element);
      return rest > 0 ? rest : null;
    };

    /** @param {Element} element @returns {number | null} */
    const naturalDuration = (element) => {
      if (!(element instanceof HTMLMediaElement)) return null;
      const seconds = (element.duration - inPoint(element)) / rate(element);
      return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
    };

    /** Length in seconds, null when unknown. @param {Element} element @returns {number | null} */
    function duration(element) {
      const known = durations.get(element);
      if (known !== undefined) return known;
      const found =
        authoredDuration(element) ??
        naturalDuration(element) ??
        timelineDuration(element.getAttribute("data-composition-id"));
      durations.set(element, found);
      return found;
    }

    /**
     * Absolute start of a video or audio element. Two conventions are in use inside a host that starts later: a
     * number that falls into the host's own window counts from the beginning of the film, any other from the host's.
     * @param {Element} element
     */
    const mediaStart = (element) => {
      const host = element.closest("[data-composition-id]");
      const hostAt = host ? start(host) : 0;
      const at = number(element.getAttribute("data-start"));
      if (!host || at === null || hostAt <= 0 || element.hasAttribute("data-hf-auto-start")) {
        return start(element, hostAt);
      }
      const length = number(element.getAttribute("data-duration")) ?? 0;
      const hostLength = duration(host);
      const end = length > 0 ? at + length : at;
      const isGlobal = hostLength === null ? at >= hostAt : at < hostAt + hostLength && (end > hostAt || at === hostAt);
      return isGlobal ? at : hostAt + at;
    };

    return { start, duration, mediaStart };
  };

  Object.defineProperty(window, "__hfResolveMediaStartSeconds", {
    configurable: true,
    value: (/** @type {Element} */ element) => resolver().mediaStart(element),
  });

  return Object.freeze({ resolver, number, inPoint, rate, isMedia, compositionById });
})();
