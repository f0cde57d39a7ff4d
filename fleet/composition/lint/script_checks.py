"""Checks of inline scripts: each a pure function from a page to its findings. Texts are read, never run."""

import re
from collections.abc import Iterator

from fleet.composition.lint.reading import Page, Whole
from fleet.model import Finding

_TIMELINE = re.compile(r"\bgsap\s*\.\s*timeline\s*\(")
_GSAP = re.compile(r"\bgsap\s*\.\s*(?:timeline|to|from|fromTo|set)\s*\(")
_REGISTRY = re.compile(r"\b__timelines\b")
_REGISTERED = re.compile(r"\b__timelines\s*(?:\[\s*([\"'`])([^\"'`$]+)\1\s*\]|\.\s*([A-Za-z_$][\w$]*))\s*=(?!=)")
_ENDLESS = re.compile(r"\brepeat\s*:\s*-1\b")
_LOOP = re.compile(r"\brequestAnimationFrame\s*\(")
_PLUGIN = re.compile(
    r"\b(MotionPathPlugin|SplitText|ScrollTrigger|DrawSVGPlugin|MorphSVGPlugin|TextPlugin|ScrambleTextPlugin)\b"
)
_MOTION_PATH = re.compile(r"\bmotionPath\s*:")


def timeline_not_registered(page: Page, whole: Whole) -> Iterator[Finding]:
    """A page that makes timelines and registers none stands still."""
    made = next(page.matches(_TIMELINE), None)
    if made is None or whole.has_library or any(_REGISTRY.search(source) for source, _ in page.scripts()):
        return
    yield page.warning(
        made[1],
        "timeline-not-registered",
        message="a timeline is made and none is registered: nothing of it will move",
        remedy='add `window.__timelines["<composition id>"] = timeline`',
    )


def timeline_of_nobody(page: Page, whole: Whole) -> Iterator[Finding]:
    """A timeline registered under an id that no composition has."""
    for match, line in page.matches(_REGISTERED):
        name = match[2] or match[3]
        if name not in whole.compositions:
            known = ", ".join(f"`{known}`" for known in sorted(whole.compositions)) or "none"
            yield page.warning(
                line,
                "timeline-of-nobody",
                message=f"a timeline is registered as `{name}`, and no composition is called that",
                remedy=f"register it as one of: {known}",
            )


def gsap_missing(page: Page, whole: Whole) -> Iterator[Finding]:
    """A page that uses GSAP in a project that loads it nowhere."""
    used = next(page.matches(_GSAP), None)
    if used is None or whole.has_library or any("gsap" in address.lower() for address in whole.scripts):
        return
    yield page.warning(
        used[1],
        "gsap-missing",
        message="GSAP is used, and no script loads it",
        remedy='add `<script src="https://cdn.jsdelivr.net/npm/gsap@3/dist/gsap.min.js"></script>` before it',
    )


def plugin_missing(page: Page, whole: Whole) -> Iterator[Finding]:
    """A plugin of GSAP that no script loads."""
    used = {match[1]: line for match, line in reversed(list(page.matches(_PLUGIN)))}
    for _, line in page.matches(_MOTION_PATH):
        used.setdefault("MotionPathPlugin", line)
    for name, line in used.items():
        if not whole.has_library and not any(name.lower() in address.lower() for address in whole.scripts):
            yield page.warning(
                line,
                "gsap-plugin-missing",
                message=f"`{name}` is used, and no script loads it",
                remedy=f'add `<script src="https://cdn.jsdelivr.net/npm/gsap@3/dist/{name}.min.js"></script>`',
            )


def endless_repeat(page: Page, _whole: Whole) -> Iterator[Finding]:
    """An endless repetition gives a timeline no length."""
    for _, line in page.matches(_ENDLESS):
        yield page.warning(
            line,
            "endless-repeat",
            message="`repeat: -1` never ends, so its timeline has no length of its own",
            remedy="repeat as often as the film is long",
        )


def frame_loop(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A loop of the page's own may keep what only passing every frame gives; then hosts step through all of them."""
    first = next(page.matches(_LOOP), None)
    if first is not None:
        yield page.note(
            first[1],
            "frame-loop",
            message="the page draws in `requestAnimationFrame`; if its frames depend on each other it renders slower",
            remedy="draw from the time of the `hf-seek` event, or from a timeline's `onUpdate`",
        )


CHECKS = (timeline_not_registered, timeline_of_nobody, gsap_missing, plugin_missing, endless_repeat, frame_loop)
