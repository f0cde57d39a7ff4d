// @ts-check
// anime.js: version 3 lists what is running, version 4 needs its author to push instances to `window.__hfAnime`.

(() => {
  const instances = () => {
    const pushed = Array.isArray(window.__hfAnime) ? window.__hfAnime : [];
    const running = Array.isArray(window.anime?.running) ? window.anime.running : [];
    for (const instance of running) if (!pushed.includes(instance)) pushed.push(instance);
    if (pushed.length) window.__hfAnime = pushed; // kept: a paused instance is no longer listed as running
    return pushed;
  };

  fleet.adapters.push({
    name: "anime",
    loops: 1,
    find: () => instances().length > 0,
    seek: (timeS) => {
      for (const instance of instances()) {
        instance.pause?.();
        instance.seek?.(timeS * 1000);
      }
    },
    ready: () => instances().forEach((/** @type {any} */ instance) => instance.pause?.()),
  });
})();
