// Collects the tests of a *.test.js file; pytest runs them one by one, each in a fresh page.

window.tests = {};
window.time = window.__HF_VIRTUAL_TIME__;
window.test = (name, run) => {
  window.tests[name] = run;
};
window.equal = (actual, wanted) => {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
};
