// @ts-check
// d3: nothing is seeked. Transitions pushed to `window.__hfD3` have run to their end before the first frame.

(() => {
  const POLL_MS = 20;
  const transitions = () => (Array.isArray(window.__hfD3) ? window.__hfD3 : []);

  fleet.adapters.push({
    name: "d3",
    find: () => transitions().length > 0,
    seek: () => undefined,
    ready: async () => {
      let isDone = false;
      const ended = Promise.allSettled(transitions().map((/** @type {any} */ transition) => transition.end())).then(
        () => {
          isDone = true;
        },
      );
      // d3 measures by our clock, which stands still: it is led past the end, then back to the first frame. GSAP's own
      // ticker would take the way back for lost time, so it sleeps meanwhile.
      window.gsap?.ticker?.sleep?.();
      for (let timeMs = 0; !isDone; timeMs += 100) {
        fleet.clock.set(timeMs);
        fleet.clock.flush();
        await fleet.failure.sleep(POLL_MS);
      }
      fleet.clock.set(0);
      window.gsap?.ticker?.wake?.();
      await ended;
    },
  });
})();
