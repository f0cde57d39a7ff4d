// @ts-check
// How the page says no: an Error whose message is JSON {code, message}; the codes are those of capture/faults.py.
// Warnings are things that the result may suffer from and that do not stop it.

fleet.failure = (() => {
  /** @type {Map<string, {code: string, message: string}>} */
  const warnings = new Map();

  /** @param {unknown} error */
  const describe = (error) => {
    if (error instanceof Error) return error.message || error.name;
    return String(error);
  };

  /** @param {string} code @param {string} message */
  const make = (code, message) => {
    const error = new Error(JSON.stringify({ code, message }));
    error.name = "FleetError";
    return error;
  };

  /** An error of ours as it is; anything else under `code`, led by `what`. */
  const wrap = (/** @type {unknown} */ error, /** @type {string} */ code, /** @type {string} */ what) =>
    error instanceof Error && error.name === "FleetError" ? error : make(code, `${what}: ${describe(error)}`);

  /** @param {string} code @param {string} message */
  const warn = (code, message) => {
    console.warn(`${code}: ${message}`); // what comes after ready() has returned is seen in the console alone
    warnings.set(`${code}\n${message}`, { code, message });
  };

  /** @param {number} delayMs @returns {Promise<void>} */
  const sleep = (delayMs) => new Promise((resolve) => void fleet.clock.real.setTimeout(resolve, delayMs));

  /**
   * `promise`, or a rejection naming `what` once `limitMs` of real time have passed.
   * @template T @param {Promise<T>} promise @param {number} limitMs @param {string} what @returns {Promise<T>}
   */
  const within = (promise, limitMs, what) => {
    let timer = 0;
    const late = new Promise((_resolve, reject) => {
      const say = () => reject(new Error(`waited ${limitMs / 1000} s for ${what}`));
      timer = fleet.clock.real.setTimeout(say, limitMs);
    });
    return Promise.race([promise, late]).finally(() => fleet.clock.real.clearTimeout(timer));
  };

  return Object.freeze({ describe, make, wrap, warn, sleep, within, warnings: () => [...warnings.values()] });
})();
