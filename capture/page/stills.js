// @ts-check
// Images that move by themselves (GIF, APNG, WebP), which the compiler has marked: each is replaced by the still that
// belongs to the time of the frame. Their time begins with their own `data-start`; `data-loop` overrides how often they
// play.

fleet.stills = (() => {
  const MARK = "data-fleet-moving";
  // Browsers show frames that ask for less time than this for 100 ms, and so do films of them.
  const SHORTEST_MS = 10;
  const USUAL_MS = 100;

  /** @typedef {{decoder: any, endsMs: number[], plays: number, stills: Map<number, string>}} Movie */
  /** @type {Map<string, Promise<Movie>>} */
  const movies = new Map();
  /** @type {WeakMap<HTMLImageElement, {movie: Movie, still: string}>} */
  const shown = new WeakMap();

  /** @param {any} decoder @returns {Promise<number[]>} when each frame ends, ms from the start */
  const ends = async (decoder) => {
    let endMs = 0;
    const found = [];
    for (let frameIndex = 0; frameIndex < decoder.tracks.selectedTrack.frameCount; frameIndex += 1) {
      const { image } = await decoder.decode({ frameIndex });
      const lastsMs = (image.duration ?? 0) / 1000;
      image.close();
      endMs += lastsMs > SHORTEST_MS ? lastsMs : USUAL_MS;
      found.push(endMs);
    }
    return found;
  };

  /** @param {string} address @param {string | null} type @returns {Promise<Movie>} */
  const load = async (address, type) => {
    const Decoder = Reflect.get(window, "ImageDecoder");
    if (!Decoder) throw fleet.failure.make("feature_unsupported", "not supported yet: animated images in this browser");
    const decoder = new Decoder({ data: await (await fetch(address)).arrayBuffer(), type });
    await decoder.tracks.ready;
    await decoder.completed;
    const { repetitionCount } = decoder.tracks.selectedTrack;
    return { decoder, endsMs: await ends(decoder), plays: repetitionCount + 1, stills: new Map() };
  };

  /** @param {HTMLImageElement} image @returns {Promise<Movie>} */
  const movieOf = (image) => {
    const known = shown.get(image);
    if (known && image.getAttribute("src") === known.still) return Promise.resolve(known.movie);
    const loading = movies.get(image.src) ?? load(image.src, image.getAttribute(MARK));
    movies.set(image.src, loading);
    return loading;
  };

  /** @param {HTMLImageElement} image @param {Movie} movie @returns {number} the author's word goes before the file's */
  const playsOf = (image, movie) => {
    const said = image.getAttribute("data-loop")?.trim().toLowerCase();
    if (said === undefined) return movie.plays;
    return ["false", "0", "no"].includes(said) ? 1 : Infinity;
  };

  /** @param {Movie} movie @param {number} plays @param {number} timeMs since it began @returns {number} */
  const indexAt = ({ endsMs }, plays, timeMs) => {
    const lengthMs = endsMs[endsMs.length - 1];
    if (timeMs >= lengthMs * plays) return endsMs.length - 1;
    // Sums of frame times are rounded; a frame that begins now, give or take a millionth, has begun.
    const withinMs = (Math.max(0, timeMs) + 1e-6) % lengthMs;
    return endsMs.findIndex((endMs) => withinMs < endMs);
  };

  /** @param {Movie} movie @param {number} frameIndex @returns {Promise<string>} */
  const still = async ({ decoder, stills }, frameIndex) => {
    const known = stills.get(frameIndex);
    if (known) return known;
    const { image } = await decoder.decode({ frameIndex });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.displayWidth, image.displayHeight];
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(image, 0, 0);
    image.close();
    const made = canvas.toDataURL("image/png");
    stills.set(frameIndex, made);
    return made;
  };

  /** @param {HTMLImageElement} image @param {number} timeS since it began */
  const showOne = async (image, timeS) => {
    const movie = await movieOf(image);
    const address = await still(movie, indexAt(movie, playsOf(image, movie), timeS * 1000));
    if (shown.get(image)?.still !== address || image.getAttribute("src") !== address) image.setAttribute("src", address);
    shown.set(image, { movie, still: address });
  };

  /** Puts every moving image on its still. @param {number} timeS @returns {Promise<unknown> | null} null: none moves */
  const show = (timeS) => {
    /** @type {NodeListOf<HTMLImageElement>} */
    const images = document.querySelectorAll(`img[${MARK}]`);
    if (!images.length) return null;
    const resolve = fleet.timing.resolver();
    const startOf = (/** @type {Element} */ image) => (image.hasAttribute("data-start") ? resolve.start(image) : 0);
    return Promise.all([...images].map((image) => showOne(image, timeS - startOf(image))));
  };

  /** @param {Element} image */
  const isDriven = (image) => image.hasAttribute(MARK);

  return Object.freeze({ show, isDriven });
})();
