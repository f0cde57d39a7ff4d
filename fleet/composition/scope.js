// Runs the script of one mounted composition so that it sees its own elements only, and leaves no names behind.
// `scope`: authored (the id its author wrote), runtime (its id in this document), root (DOM id of its own root, or "").
function __fleetMounted(scope, run) {
  "use strict";
  const TWEENS = ["to", "from", "fromTo", "set"];
  const page = window;
  const quote = (text) => `"${String(text).replace(/["\\]/g, "\\$&")}"`;
  const pattern = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
  const host = page.document.querySelector(`[data-composition-id=${quote(scope.runtime)}]`);
  const isInside = (node) => !host || host.contains(node);

  // Selectors as their author wrote them, in terms of this document. Brackets and strings are read as a whole, so
  // that nothing inside them is taken for an id.
  const own = String.raw`\[\s*data-composition-id\s*=\s*(?:"${pattern(scope.authored)}"|'${pattern(scope.authored)}')\s*\]`;
  const timing = String.raw`(?:\[\s*data-(?:start|duration)\s*=\s*(?:"[^"]*"|'[^']*')\s*\])`;
  const forms = scope.root ? [scope.root, CSS.escape(scope.root)].map(pattern).join("|") : "";
  const parts = new RegExp(
    [`${timing}*${own}${timing}*`, String.raw`\[[^\]]*\]|"[^"]*"|'[^']*'`, ...(forms ? [`#(?:${forms})(?![\\w-])`] : [])].join("|"),
    "g",
  );
  const isOwn = new RegExp(`^${timing}*${own}${timing}*$`);
  const normalise = (selector) =>
    String(selector).replace(parts, (part) => {
      if (part.startsWith("#")) return `[data-hf-authored-id=${quote(scope.root)}]`;
      return isOwn.test(part) ? `[data-composition-id=${quote(scope.runtime)}]` : part;
    });

  const all = (selector) => [...page.document.querySelectorAll(normalise(selector))].filter(isInside);
  const one = (selector) => all(selector)[0] ?? null;
  const byId = (id) => {
    const found = page.document.getElementById(id);
    if (!host || (found && isInside(found))) return found;
    return host.querySelector(`[data-hf-authored-id=${quote(id)}]`) ?? host.querySelector(`[id=${quote(id)}]`);
  };

  // Native methods demand their real object; classes stay unbound, for binding drops their statics.
  const read = (target, name) => {
    const value = Reflect.get(target, name, target);
    return typeof value === "function" && value.prototype === undefined ? value.bind(target) : value;
  };
  const narrowed = (target, mine) =>
    new Proxy(target, {
      get: (_, name) => (Object.hasOwn(mine, name) ? mine[name] : read(target, name)),
      set: (_, name, value) => Reflect.set(target, name, value, target),
    });

  const resolve = (target) => (typeof target === "string" ? all(target) : target);
  const resolving = (owner, name) => {
    const original = owner[name];
    return (target, ...rest) => original.call(owner, resolve(target), ...rest);
  };
  const tweens = (owner) => Object.fromEntries(TWEENS.map((name) => [name, resolving(owner, name)]));
  const narrowGsap = (gsap) => {
    if (!gsap) return gsap;
    const timeline = (...options) => {
      const made = gsap.timeline(...options);
      return Object.assign(made, tweens(made));
    };
    const selector = (base) => {
      const outer = typeof base === "string" ? one(base) : (base?.current ?? base);
      return (wanted) => all(wanted).filter((node) => !outer?.contains || outer.contains(node));
    };
    const toArray = (target, ...rest) => gsap.utils.toArray(resolve(target), ...rest);
    return narrowed(gsap, { ...tweens(gsap), timeline, utils: narrowed(gsap.utils, { selector, toArray }) });
  };

  // A timeline that registers under its author's id is registered under the runtime id as well.
  let registry = null;
  const timelines = () => {
    page.__timelines = page.__timelines || {};
    if (scope.authored === scope.runtime) return page.__timelines;
    registry ??= new Proxy(page.__timelines, {
      get: (target, name) => (name === scope.authored ? (target[name] ?? target[scope.runtime]) : Reflect.get(target, name)),
      set: (target, name, value) => {
        if (name === scope.authored) target[scope.runtime] = value;
        return Reflect.set(target, name, value);
      },
    });
    return registry;
  };

  const values = () => ({ ...page.__hfVariablesByComp?.[scope.runtime] });
  const helpers = page.__hyperframes && narrowed(page.__hyperframes, { getVariables: values });
  const view = new Proxy(page, {
    get: (_, name) => (name === "__timelines" ? timelines() : name === "__hyperframes" ? helpers : read(page, name)),
    set: (_, name, value) => {
      if (name !== "__timelines") return Reflect.set(page, name, value, page);
      if (value === registry) return true;
      registry = null;
      page.__timelines = value || {};
      return true;
    },
  });
  const document = narrowed(page.document, { querySelector: one, querySelectorAll: all, getElementById: byId });
  try {
    run.call(view, document, narrowGsap(page.gsap), view, helpers);
  } catch (error) {
    // One broken scene does not stop the others.
    console.error(`[fleetrender] script of composition ${scope.authored} failed:`, error);
  }
}
