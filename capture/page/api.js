// @ts-check
// The calls of the session that drives this page. A name of ours only, out of the way of authored code.

Object.defineProperty(window, "__fleet", {
  value: Object.freeze({
    fonts: fleet.media.fonts,
    ready: fleet.ready,
    seek: fleet.seek.toFrame,
    draw: fleet.seek.draw,
    volumes: fleet.volume.sample,
    waitsForFiles: fleet.video.isLoading,
  }),
});
