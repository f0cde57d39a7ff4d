// The clock and chance, seen from a page. Each test runs in a fresh page; `time` is what parent frames use.

test("the clock starts at zero and stands still", async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  equal([Date.now(), performance.now(), new Date().getTime()], [0, 0, 0]);
});

test("Date and performance agree on the time of the frame", () => {
  time.seekToTime(1234.5);
  equal([Date.now(), performance.now(), new Date().getTime()], [1234.5, 1234.5, 1234]);
});

test("Date keeps its forms", () => {
  class Later extends Date {}
  time.seekToTime(5000);
  const now = new Date();
  equal(
    [now instanceof Date, Object.prototype.toString.call(now), now.constructor === Date],
    [true, "[object Date]", true],
  );
  equal([Date.UTC(1970, 0, 2), Date.parse("1970-01-02T00:00:00Z"), new Date(7).getTime()], [86400000, 86400000, 7]);
  equal([new Date(2020, 1, 3).getMonth(), typeof Date(), Date() === new Date(5000).toString()], [1, "string", true]);
  equal([new Later().getTime(), new Later() instanceof Later], [5000, true]);
});

test("a frame callback runs once, with the time of its frame", () => {
  const seen = [];
  requestAnimationFrame((now) => seen.push(now));
  time.seekToTime(100);
  time.seekToTime(200);
  equal(seen, [100]);
});

test("frame callbacks never run before the first seek", async () => {
  const seen = [];
  requestAnimationFrame((now) => seen.push(now));
  await new Promise((resolve) => setTimeout(resolve, 50));
  equal(seen, []);
});

test("frame callbacks run in the order of their requests", () => {
  const seen = [];
  for (const name of "abc") requestAnimationFrame(() => seen.push(name));
  time.seekToTime(1);
  equal(seen, ["a", "b", "c"]);
});

test("a callback requested inside a frame waits for the next", () => {
  const seen = [];
  const loop = (now) => {
    seen.push(now);
    requestAnimationFrame(loop);
  };
  requestAnimationFrame(loop);
  for (const now of [10, 20, 30]) time.seekToTime(now);
  equal(seen, [10, 20, 30]);
});

test("a cancelled callback does not run, even when cancelled in its own frame", () => {
  const seen = [];
  const before = requestAnimationFrame(() => seen.push("before"));
  let later = 0;
  requestAnimationFrame(() => cancelAnimationFrame(later));
  later = requestAnimationFrame(() => seen.push("later"));
  cancelAnimationFrame(before);
  time.seekToTime(1);
  equal(seen, []);
});

test("timers are real and keep their order", async () => {
  const seen = [];
  const done = new Promise((resolve) => setTimeout(resolve, 30));
  setTimeout(() => seen.push("second"), 10);
  setTimeout(() => seen.push("third"), 10);
  setTimeout(() => seen.push("first"), 0);
  Promise.resolve().then(() => seen.push("promise"));
  await done;
  equal(seen, ["promise", "first", "second", "third"]);
});

test("the originals are kept for the harness", async () => {
  const now = await new Promise((resolve) => time.originalRequestAnimationFrame(resolve));
  equal(now > 0, true);
});

test("the same time draws the same numbers, whatever was drawn before", () => {
  const draw = () => [Math.random(), crypto.getRandomValues(new Uint8Array(5)).join(), crypto.randomUUID()];
  const fresh = draw();
  time.seekToTime(500);
  const later = draw();
  time.seekToTime(900);
  Math.random();
  time.seekToTime(500);
  equal(draw(), later);
  time.seekToTime(0);
  equal(draw(), fresh);
  equal(JSON.stringify(fresh) === JSON.stringify(later), false);
});

test("random numbers look random", () => {
  const numbers = Array.from({ length: 1000 }, Math.random);
  const mean = numbers.reduce((sum, one) => sum + one, 0) / 1000;
  equal([Math.min(...numbers) >= 0, Math.max(...numbers) < 1, Math.abs(mean - 0.5) < 0.05], [true, true, true]);
  equal(new Set(numbers).size, 1000);
});
