// @ts-check
// What the page still has under way (scripts, requests, fonts) and what went wrong while it loaded.
// Watches only; a page without anything pending has nothing left that could register a timeline.

fleet.activity = (() => {
  const SCRIPT_TYPES = /^(|module|(text|application)\/(java|ecma)script)$/i;
  const MESSAGES_KEPT = 5;

  let requests = 0;
  /** @type {WeakSet<EventTarget>} */
  const settled = new WeakSet();
  /** @type {string[]} */
  const failures = [];

  /** Keeps what went wrong; with it, less is waited for. @param {string} text */
  const note = (text) => {
    if (failures.length < MESSAGES_KEPT) failures.push(text);
  };

  /** @param {Event} event */
  const onScript = (event) => {
    if (!(event.target instanceof HTMLScriptElement)) return;
    settled.add(event.target);
    if (event.type === "error") note(`script ${event.target.src || "(inline)"} failed to load`);
  };
  document.addEventListener("load", onScript, true);
  document.addEventListener("error", onScript, true);
  window.addEventListener("error", (event) => {
    if (event instanceof ErrorEvent && event.message) note(`script error: ${event.message}`);
  });
  window.addEventListener("unhandledrejection", (event) => {
    note(`unhandled rejection: ${fleet.failure.describe(event.reason)}`);
  });

  const realFetch = window.fetch;
  window.fetch = (...request) => {
    requests += 1;
    return realFetch.apply(window, request).finally(() => {
      requests -= 1;
    });
  };
  const realSend = XMLHttpRequest.prototype.send;
  /** @param {any} body */
  XMLHttpRequest.prototype.send = function send(body) {
    requests += 1;
    this.addEventListener("loadend", () => void (requests -= 1), { once: true });
    return realSend.call(this, body);
  };

  /** @param {HTMLScriptElement} script */
  const isPending = (script) => !!script.src && SCRIPT_TYPES.test(script.type) && !settled.has(script);

  const isQuiet = () =>
    document.readyState === "complete" &&
    requests === 0 &&
    document.fonts.status === "loaded" &&
    ![...document.scripts].some(isPending);

  return Object.freeze({ isQuiet, note, failures: () => [...failures] });
})();
