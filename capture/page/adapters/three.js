// @ts-check
// three.js: waits for what its default loading manager has under way. Scenes are drawn by `hf-seek` listeners or by
// timelines; time is in `window.__hfThreeTime`.

(() => {
  let loading = 0;
  let isHooked = false;
  /** @type {(() => void)[]} */
  let waiting = [];

  /** The manager keeps its counts to itself, so its two doors are watched. @param {any} manager */
  const hook = (manager) => {
    if (isHooked || typeof manager?.itemStart !== "function") return;
    isHooked = true;
    const { itemStart, itemEnd } = manager;
    manager.itemStart = (/** @type {string} */ url) => {
      loading += 1;
      itemStart.call(manager, url);
    };
    manager.itemEnd = (/** @type {string} */ url) => {
      itemEnd.call(manager, url);
      loading -= 1;
      if (loading === 0) waiting.splice(0).forEach((done) => done());
    };
  };

  // Hooked as the library defines it, before any loader can use it.
  /** @type {any} */
  let library;
  Object.defineProperty(window, "THREE", {
    configurable: true,
    enumerable: true,
    get: () => library,
    set: (value) => {
      library = value;
      if (!value || typeof value !== "object" || !Object.isExtensible(value)) return;
      let manager = value.DefaultLoadingManager;
      hook(manager);
      if (manager) return;
      Object.defineProperty(value, "DefaultLoadingManager", {
        configurable: true,
        enumerable: true,
        get: () => manager,
        set: (made) => {
          manager = made;
          hook(made);
        },
      });
    },
  });

  fleet.adapters.push({
    name: "three",
    find: () => !!library,
    seek: () => undefined,
    ready: () => (loading === 0 ? undefined : new Promise((resolve) => void waiting.push(() => resolve(undefined)))),
  });
})();
