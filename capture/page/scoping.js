// @ts-check
// Keeps a composition that is mounted inside the document to itself: its selectors match inside its host only, and its
// scripts see a document, a window and a gsap that are narrowed to the host.

fleet.scoping = (() => {
  /** @typedef {{id: string, selector: string, rootId: string}} Scope */

  const TIMING = String.raw`(?:\s*\[\s*data-(?:start|duration)\s*=\s*(?:"[^"]*"|'[^']*')\s*\])`;
  const TWEENS = ["to", "from", "fromTo", "set"];
  const escape = (/** @type {string} */ text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /** @param {string} id */
  const ownAttribute = (id) => String.raw`\[\s*data-composition-id\s*=\s*(["'])${escape(id)}\1\s*\]`;

  /** The authored id of the mounted root lives in an attribute. @param {string} selector @param {string} rootId */
  const withoutRootId = (selector, rootId) => {
    if (!rootId) return selector;
    const forms = [...new Set([rootId, CSS.escape(rootId)])].map(escape).join("|");
    // Brackets and strings are consumed first, so that a # inside them is left alone.
    const tokens = new RegExp(String.raw`\[[^\]]*\]|"[^"]*"|'[^']*'|#(?:${forms})(?![\w-])`, "g");
    const replacement = `[data-hf-authored-id="${rootId}"]`;
    return selector.replace(tokens, (token) => (token.startsWith("#") ? replacement : token));
  };

  /** Own root with timing neighbours becomes the own root alone. @param {string} selector @param {Scope} scope */
  const withoutTiming = (selector, scope) =>
    selector
      .replace(new RegExp(`${ownAttribute(scope.id)}${TIMING}+`, "g"), scope.selector)
      .replace(new RegExp(`${TIMING}+${ownAttribute(scope.id)}`, "g"), scope.selector);

  /** @param {string} selector one selector, no list @param {Scope} scope @returns {string} */
  const scopeSelector = (selector, scope) => {
    const text = withoutTiming(withoutRootId(selector, scope.rootId), scope).trim();
    const box = `${scope.selector}:not(:has([data-hf-inner-root])), ${scope.selector} > [data-hf-inner-root]`;
    if (text === "" || text === "*") return selector;
    if (/^(html|body|:root)$/i.test(text)) return box;
    const own = new RegExp(ownAttribute(scope.id), "g");
    const replaced = text.replace(own, scope.selector);
    if (replaced === scope.selector) return box;
    return own.test(text) ? replaced : `${scope.selector} ${text}`;
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

  /** A function of the real object, bound to it; classes stay as they are, for binding drops their statics. */
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

  /** @param {Element} host @param {Scope} scope */
  const finder = (host, scope) => {
    const normalise = (/** @type {string} */ selector) =>
      withoutTiming(withoutRootId(selector, scope.rootId), scope).replace(
        new RegExp(ownAttribute(scope.id), "g"),
        scope.selector,
      );
    const all = (/** @type {string} */ selector) =>
      [...document.querySelectorAll(normalise(selector))].filter((node) => host.contains(node));
    const byId = (/** @type {string} */ id) => {
      const found = document.getElementById(id);
      const name = CSS.escape(id);
      return found && host.contains(found) ? found : host.querySelector(`[data-hf-authored-id="${name}"],#${name}`);
    };
    return { all, one: (/** @type {string} */ selector) => all(selector)[0] ?? null, byId };
  };

  /** @param {any} gsap @param {ReturnType<typeof finder>} find */
  const narrowGsap = (gsap, find) => {
    const target = (/** @type {unknown} */ wanted) => (typeof wanted === "string" ? find.all(wanted) : wanted);
    const first =
      (/** @type {any} */ owner, /** @type {string} */ name) =>
      (/** @type {any[]} */ ...list) =>
        owner[name](target(list[0]), ...list.slice(1));
    const tweens = (/** @type {any} */ owner) => Object.fromEntries(TWEENS.map((name) => [name, first(owner, name)]));
    const timeline = (/** @type {any[]} */ ...list) => {
      const made = gsap.timeline(...list);
      const own = Object.fromEntries(TWEENS.map((name) => [name, made[name].bind(made)]));
      for (const name of TWEENS) made[name] = first(own, name);
      return made;
    };
    const utils = narrowed(gsap.utils, {
      toArray: first(gsap.utils, "toArray"),
      selector: (/** @type {unknown} */ base) => (/** @type {string} */ wanted) => {
        const root = typeof base === "string" ? find.one(base) : base;
        return find.all(wanted).filter((node) => !(root instanceof Element) || root.contains(node));
      },
    });
    return narrowed(gsap, { ...tweens(gsap), timeline, utils });
  };

  /** The registry as the mounted script sees it: its own id is the host's. @param {Scope} scope @param {string} hostId */
  const narrowRegistry = (scope, hostId) =>
    new Proxy(fleet.timeline.registry(), {
      get: (registry, name) => (name === scope.id ? (registry[name] ?? registry[hostId]) : Reflect.get(registry, name)),
      set: (registry, name, value) => {
        if (name === scope.id) registry[hostId] = value;
        return Reflect.set(registry, name, value);
      },
    });

  /**
   * Runs a mounted composition's script. Throws what it throws.
   * @param {string} source @param {Element} host @param {Scope} scope
   */
  const run = (source, host, scope) => {
    const find = finder(host, scope);
    const hostId = host.getAttribute("data-composition-id") ?? "";
    const values = () => ({ ...fleet.variables.record(fleet.variables.record(window.__hfVariablesByComp)[hostId]) });
    const helpers = { ...Object.getOwnPropertyDescriptors(window.__hyperframes), getVariables: { value: values } };
    const hyperframes = Object.defineProperties({}, helpers);
    const registry = narrowRegistry(scope, hostId);
    const own = { querySelector: find.one, querySelectorAll: find.all, getElementById: find.byId };
    const view = new Proxy(window, {
      get: (_window, name) =>
        name === "__timelines" ? registry : name === "__hyperframes" ? hyperframes : read(window, name),
      set: (_window, name, value) => (name === "__timelines" && value === registry) || Reflect.set(window, name, value),
    });
    const gsap = window.gsap && narrowGsap(window.gsap, find);
    new Function("document", "gsap", "window", "__hyperframes", source).call(
      view,
      narrowed(document, own),
      gsap,
      view,
      hyperframes,
    );
  };

  return Object.freeze({ scopeStyle, scopeSelector, splitSelectors, run });
})();
