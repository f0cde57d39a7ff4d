// @ts-check
// lottie-web and dotlottie-web: found through lottie's own registry, or pushed to `window.__hfLottie`.

(() => {
  const POLL_MS = 50;

  const players = () => {
    const pushed = Array.isArray(window.__hfLottie) ? window.__hfLottie : [];
    const registered = window.lottie?.getRegisteredAnimations?.() ?? [];
    return [...new Set([...pushed, ...registered])];
  };

  const isLoaded = (/** @type {any} */ player) =>
    typeof player.goToAndStop === "function"
      ? player.isLoaded !== false
      : Number(player.totalFrames ?? player.duration) > 0;

  /** @param {any} player @param {number} timeS */
  const seekDot = (player, timeS) => {
    if (typeof player.setCurrentRawFrameValue === "function") {
      if (player.totalFrames > 0) {
        player.setCurrentRawFrameValue(Math.min(timeS * (player.frameRate ?? 30), player.totalFrames - 1));
      }
    } else {
      player.seek?.(Math.min(100, (timeS / (player.duration ?? 1)) * 100));
    }
  };

  /** @param {any} player @returns {number} */
  const seconds = (player) => {
    if (typeof player.getDuration === "function") return Number(player.getDuration(false)) || 0;
    return Number(player.duration) || 0;
  };

  fleet.adapters.push({
    name: "lottie",
    loops: 1,
    find: () => players().length > 0,
    seek: (timeS) => {
      for (const player of players()) {
        if (typeof player.goToAndStop === "function") player.goToAndStop(timeS * 1000, false);
        else seekDot(player, timeS);
        player.pause?.();
      }
    },
    length: () => Math.max(0, ...players().map(seconds)),
    ready: async () => {
      while (!players().every(isLoaded)) await fleet.failure.sleep(POLL_MS);
      players().forEach((player) => player.pause?.());
    },
  });
})();
