// @ts-check
// Seeded Math.random, crypto.getRandomValues and crypto.randomUUID: the same time draws the same numbers on every host.
// Nothing here is secret. Runs in every frame of the page.

fleet.random = (() => {
  let state = 0;

  /** mulberry32 @returns {number} an unsigned 32 bit integer */
  const draw = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };

  /** Starts the sequence that belongs to `timeMs`. @param {number} timeMs */
  const seed = (timeMs) => {
    // Spreads neighbouring milliseconds; the offset keeps time 0 off the generator's weak all-zero start.
    state = (Math.imul(Math.max(0, Math.floor(timeMs)) | 0, -1640531527) + 0x9e3779b9) | 0;
  };

  /** @template {ArrayBufferView} T @param {T} array @returns {T} */
  const fill = (array) => {
    const bytes = new DataView(array.buffer, array.byteOffset, array.byteLength);
    let index = 0;
    for (; index + 4 <= bytes.byteLength; index += 4) bytes.setUint32(index, draw(), true);
    for (; index < bytes.byteLength; index += 1) bytes.setUint8(index, draw() & 0xff);
    return array;
  };

  const uuid = () => {
    const bytes = fill(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  seed(0);
  Math.random = () => draw() / 4294967296;
  for (const [name, value] of Object.entries({ getRandomValues: fill, randomUUID: uuid })) {
    Object.defineProperty(Crypto.prototype, name, { configurable: true, writable: true, value });
  }
  return Object.freeze({ seed });
})();
