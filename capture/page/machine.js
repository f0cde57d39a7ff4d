// @ts-check
// What scripts may ask of the machine, the same on every host: some draw less, or otherwise, where they find less of it.
// Runs in every frame of the page, not in its workers.

for (const [name, value] of [
  ["hardwareConcurrency", 4],
  ["deviceMemory", 8], // GiB; browsers say no more than that of larger ones
]) {
  Object.defineProperty(Navigator.prototype, name, { configurable: true, enumerable: true, get: () => value });
}
