// @ts-check
// Keeps a mounted composition to itself: its selectors match inside its host only, and its scripts see a document, a
// window and a gsap that are narrowed to the host. Serves templates mounted in the page and scripts of files that were
// mounted while the project was compiled; those call `__fleetMounted`.

fleet.scoping = (() => {
  /**
   * The id that its author wrote, its id in this document, and the DOM id of its own root, or "".
   * @typedef {{authored: string, runtime: string, root: string}} Scope
   */

  const TWEENS = ["to", "from", "fromTo", "set"];
  const quote = (/** @type {unknown} */ text) => `"${String(text).replace(/["\\]/g, "\\$&")}"`;
  const literally = (/** @type {string} */ text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /** @param {Scope} scope */
  const hostSelector = (scope) => `[data-composition-id=${quote(scope.runtime)}]`;

  /**
   * Selectors as their author wrote them, in terms of this document. Brackets and strings are read as a whole, so that
   * nothing inside them is taken for an id.
   * @param {Scope} scope @returns {(selector: string) => string}
   */
  const normaliser = (scope) => {
    const id = literally(scope.authored);
    const own = String.raw`\[\s*data-composition-id\s*=\s*(?:"${id}"|'${id}')\s*\]`;
    const timing = String.raw`(?:\s*\[\s*data-(?:start|duration)\s*=\s*(?:"[^"]*"|'[^']*')\s*\])`;
    const forms = [...new Set([scope.root, CSS.escape(scope.root)])].map(literally).join("|");
    const rootId = scope.root ? [String.raw`#(?:${forms})(?![\w-])`] : [];
    const before = String.raw`(?:${timing}(?=(?:${timing})*${own}))*`;
    const parts = new RegExp([`${before}${own}${timing}*`, String.raw`\[[^\]]*\]|"[^"]*"|'[^']*'`, ...rootId].join("|"), "g");
    const isOwn = new RegExp(`^${timing}*${own}${timing}*$`);
    const inPlace = (/** @type {string} */ part) => {
      if (part.startsWith("#")) return `[data-hf-authored-id=${quote(scope.root)}]`;
      if (!isOwn.test(part)) return part;
      return (/^\s*/.exec(part)?.[0] ?? "") + hostSelector(scope);
    };
    return (selector) => String(selector).replace(parts, inPlace);
  };

  /** @param {string} selector one selector, no list @param {Scope} scope @returns {string} */
  const scopeSelector = (selector, scope) => {
    const text = normaliser(scope)(selector).trim();
    const host = hostSelector(scope);
    const box = `${host}:not(:has([data-hf-inner-root])), ${host} > [data-hf-inner-root]`;
    if (text === "" || text === "*") return selector;
    if (/^(html|body|:root)$/i.test(text) || text === host) return box;
    return text.includes(host) ? text : `${host} ${text}`;
  };

  /** @param {string} list @returns {string[]} split at commas outside brackets, parentheses and strings */
  const splitSelectors = (list) =>
    list.match(/(?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+/g) ?? [];

  /** @param {CSSRuleList} rules @param {Scope} scope */
  const scopeRules = (rules, scope) => {
    for (const rule of rules) {
      if (rule instanceof CSSStyleRule) {
        const scoped = splitSelectors(rule.selectorText).map((selector) => scopeSelector(selector, scope));
        rule.selectorText = scoped.join(", ");
      } else if (rule instanceof CSSGroupingRule) {
        scopeRules(rule.cssRules, scope);
      }
    }
  };

  /** @param {HTMLStyleElement} style connected @param {Scope} scope */
  const scopeStyle = (style, scope) => {
    if (style.sheet) scopeRules(style.sheet.cssRules, scope);
  };

  /** Native methods demand their real object; classes stay unbound, for binding drops their statics. */
  const read = (/** @type {any} */ target, /** @type {PropertyKey} */ name) => {
    const value = Reflect.get(target, name, target);
    return typeof value === "function" && value.prototype === undefined ? value.bind(target) : value;
  };

  /** @param {any} target @param {Record<PropertyKey, unknown>} own shadows the target's properties */
  const narrowed = (target, own) =>
    new Proxy(target, {
      get: (_target, name) => (Object.hasOwn(own, name) ? own[name] : read(target, name)),
      set: (_target, name, value) => Reflect.set(target, name, value, target),
    });

  /** @param {Scope} scope */
  const finder = (scope) => {
    const host = document.querySelector(hostSelector(scope));
    const normalise = normaliser(scope);
    const isInside = (/** @type {Node} */ node) => !host || host.contains(node);
    const all = (/** @type {string} */ selector) =>
      [...document.querySelectorAll(normalise(selector))].filter(isInside);
    const byId = (/** @type {string} */ id) => {
      const found = document.getElementById(id);
      if (!host || (found && isInside(found))) return found;
      return host.querySelector(`[data-hf-authored-id=${quote(id)}]`) ?? host.querySelector(`[id=${quote(id)}]`);
    };
    return { all, one: (/** @type {string} */ selector) => all(selector)[0] ?? null, byId };
  };

  /** @param {any} gsap @param {ReturnType<typeof finder>} find */
  const narrowGsap = (gsap, find) => {
    const resolve = (/** @type {unknown} */ wanted) => (typeof wanted === "string" ? find.all(wanted) : wanted);
    const resolving = (/** @type {any} */ owner, /** @type {string} */ name) => {
      const original = owner[name];
      return (/** @type {any[]} */ ...list) => original.call(owner, resolve(list[0]), ...list.slice(1));
    };
    const tweens = (/** @type {any} */ owner) =>
      Object.fromEntries(TWEENS.map((name) => [name, resolving(owner, name)]));
    const timeline = (/** @type {any[]} */ ...list) => {
      const made = gsap.timeline(...list);
      return Object.assign(made, tweens(made));
    };
    const selector = (/** @type {any} */ base) => {
      const outer = typeof base === "string" ? find.one(base) : (base?.current ?? base);
      return (/** @type {string} */ wanted) =>
        find.all(wanted).filter((node) => !outer?.contains || outer.contains(node));
    };
    const utils = narrowed(gsap.utils, { selector, toArray: resolving(gsap.utils, "toArray") });
    return narrowed(gsap, { ...tweens(gsap), timeline, utils });
  };

  /**
   * The registry as the mounted script sees it: what it registers under its author's id is registered under its id in
   * this document as well. @param {Scope} scope
   */
  const registryOf = (scope) => {
    /** @type {any} */
    let narrow = null;
    const current = () => {
      narrow ??= new Proxy(fleet.timeline.registry(), {
        get: (target, name) =>
          name === scope.authored ? (target[name] ?? target[scope.runtime]) : Reflect.get(target, name),
        set: (target, name, value) => {
          if (name === scope.authored) target[scope.runtime] = value;
          return Reflect.set(target, name, value);
        },
      });
      return narrow;
    };
    const replace = (/** @type {any} */ value) => {
      if (value === narrow) return true;
      narrow = null;
      window.__timelines = value || {};
      return true;
    };
    return { current, replace };
  };

  /**
   * Runs a mounted composition's script. Throws what it throws.
   * @param {Scope} scope @param {(document: any, gsap: any, window: any, helpers: any) => void} script
   */
  const run = (scope, script) => {
    const find = finder(scope);
    const registry = registryOf(scope);
    const values = () => ({ ...fleet.variables.record(fleet.variables.record(window.__hfVariablesByComp)[scope.runtime]) });
    const helpers = narrowed(window.__hyperframes, { getVariables: values });
    const view = new Proxy(window, {
      get: (_window, name) => {
        if (name === "__timelines") return registry.current();
        return name === "__hyperframes" ? helpers : read(window, name);
      },
      set: (_window, name, value) =>
        name === "__timelines" ? registry.replace(value) : Reflect.set(window, name, value, window),
    });
    const own = { querySelector: find.one, querySelectorAll: find.all, getElementById: find.byId };
    const gsap = window.gsap && narrowGsap(window.gsap, find);
    script.call(view, narrowed(document, own), gsap, view, helpers);
  };

  /** @param {Scope} scope @param {(document: any, gsap: any, window: any, helpers: any) => void} script */
  const mounted = (scope, script) => {
    try {
      run(scope, script);
    } catch (error) {
      // One broken scene does not stop the others; the render says so.
      fleet.activity.note(`composition ${scope.authored}: ${fleet.failure.describe(error)}`);
    }
  };
  Object.defineProperty(window, "__fleetMounted", { value: mounted });

  return Object.freeze({ scopeStyle, scopeSelector, splitSelectors, hostSelector, mounted });
})();
