// @ts-check
// No host has a GPU that could be the same everywhere, so there is no WebGPU: libraries that ask for it find their other
// way of drawing. Runs in every frame of the page.

Reflect.deleteProperty(Navigator.prototype, "gpu");
