// @ts-check
// Compositions that stand in the document as `<template id="X-template">` and are mounted into the empty element X.

fleet.templates = (() => {
  // As long as a peer waits for one external script of a mounted composition.
  const SCRIPT_LIMIT_MS = 8000;
  const SEEN_BY_SCRIPTS = ["document", "gsap", "window", "__hyperframes"];
  const IDENTITY = [
    "data-composition-id",
    "data-composition-file",
    "data-composition-src",
    "data-start",
    "data-duration",
    "data-end",
    "data-track-index",
    "data-track",
    "data-hf-authored-duration",
    "data-hf-authored-end",
  ];

  /** @typedef {{host: HTMLElement, id: string, template: HTMLTemplateElement}} Mount */

  /** @returns {Mount[]} empty hosts that have a template; several of one id are told apart by a suffix */
  const hosts = () => {
    /** @type {Mount[]} */
    const found = [];
    for (const host of document.querySelectorAll("[data-composition-id]:not([data-composition-src])")) {
      const id = host.getAttribute("data-hf-original-composition-id") ?? host.getAttribute("data-composition-id") ?? "";
      const template = document.querySelector(`template[id="${CSS.escape(id)}-template"]`);
      const isMount = host instanceof HTMLElement && template instanceof HTMLTemplateElement && !host.childElementCount;
      if (isMount) found.push({ host, id, template });
    }
    return found;
  };

  /** @param {Mount[]} mounts */
  const nameApart = (mounts) => {
    /** @type {Map<string, number>} */
    const used = new Map();
    for (const { host, id } of mounts) {
      if (mounts.filter((other) => other.id === id).length < 2) continue;
      used.set(id, (used.get(id) ?? 0) + 1);
      host.setAttribute("data-hf-original-composition-id", id);
      host.setAttribute("data-composition-id", `${id}__hf${used.get(id)}`);
    }
  };

  /** @param {HTMLElement} host @param {HTMLElement} root clone of the mounted file's own root */
  const flatten = (host, root) => {
    for (const side of /** @type {const} */ (["width", "height"])) {
      const length = fleet.layout.pixels(root, `data-${side}`);
      root.style[side] = length || "100%";
      if (!length) continue;
      host.setAttribute(`data-${side}`, root.getAttribute(`data-${side}`) ?? "");
      host.style[side] = length;
    }
    if (root.hasAttribute("data-timeline-locked")) host.setAttribute("data-timeline-locked", "");
    for (const name of IDENTITY) root.removeAttribute(name);
    if (root.id) root.setAttribute("data-hf-authored-id", root.id);
    root.removeAttribute("id");
    root.setAttribute("data-hf-inner-root", "true");
  };

  /** @param {HTMLElement} host @param {Element | null} root */
  const giveVariables = (host, root) => {
    const own = fleet.variables.parse(host.getAttribute("data-variable-values"));
    const values = { ...(root ? fleet.variables.declared(root) : {}), ...fleet.variables.record(own) };
    if (!Object.keys(values).length) return;
    window.__hfVariablesByComp[host.getAttribute("data-composition-id") ?? ""] = values;
    fleet.variables.define(host, values);
  };

  /** @param {HTMLScriptElement} script an authored one, which does not run by itself */
  const load = (script) => {
    const live = document.createElement("script");
    for (const { name, value } of script.attributes) live.setAttribute(name, value);
    live.async = false;
    live.textContent = script.textContent;
    const loaded = new Promise((resolve) => {
      for (const type of ["load", "error"]) live.addEventListener(type, resolve, { once: true });
    });
    document.body.append(live);
    return script.src ? fleet.failure.within(loaded, SCRIPT_LIMIT_MS, `script ${script.src}`) : Promise.resolve();
  };

  /** @param {HTMLScriptElement} script @param {any} scope */
  const run = async (script, scope) => {
    try {
      if (script.src || script.type === "module") await load(script);
      else fleet.scoping.mounted(scope, new Function(...SEEN_BY_SCRIPTS, script.textContent ?? ""));
    } catch (error) {
      // It did not load, or it does not parse; the other scenes play on, and the render says so.
      fleet.activity.note(`composition ${scope.authored}: ${fleet.failure.describe(error)}`);
    }
  };

  /** @param {Mount} mount */
  const mountOne = async ({ host, id, template }) => {
    const content = document.importNode(template.content, true);
    const styles = [...content.querySelectorAll("style")];
    const scripts = [...content.querySelectorAll("script")];
    for (const asset of [...styles, ...scripts]) asset.remove();
    const roots = [...content.querySelectorAll("[data-composition-id]")];
    const root = roots.find((node) => node.getAttribute("data-composition-id") === id) ?? null;
    const declaredId = (root ?? roots[0])?.getAttribute("data-composition-id") ?? id;
    const scope = { authored: id, runtime: host.getAttribute("data-composition-id") ?? "", root: root?.id ?? "" };
    for (const style of styles) {
      document.head.append(style);
      fleet.scoping.scopeStyle(style, scope);
    }
    giveVariables(host, root);
    if (root instanceof HTMLElement) flatten(host, root);
    host.append(root ?? content);
    for (const script of scripts) await run(script, { ...scope, authored: declaredId });
  };

  /** @returns {Promise<boolean>} whether anything was mounted */
  const mount = async () => {
    const mounts = hosts();
    nameApart(mounts);
    for (const one of mounts) await mountOne(one);
    return mounts.length > 0;
  };

  return Object.freeze({ mount });
})();
