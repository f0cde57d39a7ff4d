"""When elements of the compiled document happen, in exact seconds. Pure: reads the tree, changes nothing.

The same rules as the page's own (`capture/page/timing.js`), so that sound is where the picture says it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from justhtml import Document, Element

from fleet.composition import markup, values
from fleet.composition.root import ID, SOURCE

_FILE = "data-composition-file"
_TEMPLATE_SUFFIX = "-template"
ZERO = Fraction(0)
# Elements that refer to each other in a circle: followed as the page does, while that ends in its time.
CIRCLE_MAX = 50


@dataclass(slots=True)
class Resolver:
    """Answers for one document, whose media elements carry their own lengths as `data-duration`.

    The document must not change meanwhile: what was found once is remembered.
    """

    document: Document
    _starts: dict[int, Fraction | None] = field(default_factory=dict)
    _visiting: set[int] = field(default_factory=set)
    _circles: int = 0
    _names: dict[str, Element] | None = None

    def start(self, element: Element, fallback: Fraction = ZERO) -> Fraction:
        """Absolute start; `fallback` when nothing says it, or when references run in a circle."""
        chain, is_circle = self._chain(element)
        if is_circle and len(chain) > CIRCLE_MAX:
            return fallback
        if not is_circle:
            for target in reversed(chain):  # so that a long chain is no deep recursion
                self._known(target)
        found = self._known(element)
        return fallback if found is None else found

    def _chain(self, element: Element) -> tuple[list[Element], bool]:
        """What the element's start refers to, what that refers to, and so on; whether it comes back."""
        chain: list[Element] = []
        seen = {id(element), *self._visiting}
        while isinstance(parsed := values.start(markup.get(element, "data-start")), values.After):
            target = self._target(parsed.target)
            if target is None or id(target) in self._starts:
                break
            if id(target) in seen:
                return chain, True
            seen.add(id(target))
            chain.append(target)
            element = target
        return chain, False

    def _known(self, element: Element) -> Fraction | None:
        if id(element) in self._starts:
            return self._starts[id(element)]
        if id(element) in self._visiting:
            self._circles += 1
            return None
        self._visiting.add(id(element))
        circles = self._circles
        try:
            found = self._start(element)
        finally:
            self._visiting.discard(id(element))
        if self._circles == circles:  # in a circle it depends on where one begins
            self._starts[id(element)] = found
        return found

    def duration(self, element: Element) -> Fraction | None:
        """Length of the element's slot; None when only the page's own timelines know it."""
        for name in ("data-duration", "data-hf-authored-duration"):
            if (length := values.positive(markup.get(element, name))) is not None:
                return length
        for name in ("data-end", "data-hf-authored-end"):
            if (end := values.number(markup.get(element, name))) is not None and end > self.start(element):
                return end - self.start(element)
        return None

    def media_start(self, element: Element) -> Fraction:
        """Absolute start of a video or audio element.

        Two conventions are in use inside a host that starts later: a number that falls into the host's own window
        counts from the beginning of the film, any other from the host's.
        """
        host = next((outer for outer in self.around(element) if ID in outer.attrs), None)
        host_at = ZERO if host is None else self.start(host)
        at = values.number(markup.get(element, "data-start"))
        if host is None or at is None or host_at <= 0 or "data-hf-auto-start" in element.attrs:
            return self.start(element, host_at)
        end = at + (values.positive(markup.get(element, "data-duration")) or 0)
        length = self.duration(host)
        if length is None:
            is_global = at >= host_at
        else:
            is_global = at < host_at + length and (end > host_at or at == host_at)
        return at if is_global else host_at + at

    def is_mounted(self, element: Element) -> bool:
        """Whether the element is in the document, or in a template that the page will mount."""
        template = next((outer for outer in markup.ancestors(element) if outer.name == "template"), None)
        if template is None:
            return True
        return self._mount_of((markup.get(template, "id") or "").removesuffix(_TEMPLATE_SUFFIX)) is not None

    def around(self, element: Element) -> Iterator[Element]:
        """Enclosing elements, nearest first; out of a template they go on where the page will mount it."""
        inside: list[Element] = []
        for outer in markup.ancestors(element):
            identity = (markup.get(outer, "id") or "").removesuffix(_TEMPLATE_SUFFIX)
            if outer.name != "template":
                inside.append(outer)
                continue
            # The template's own root gives its identity and times to the element that mounts it.
            yield from (inner for inner in inside if markup.get(inner, ID) != identity)
            host = self._mount_of(identity)
            if host is not None:
                yield host
                yield from self.around(host)
            return
        yield from inside

    def _mount_of(self, identity: str) -> Element | None:
        return next((e for e in markup.with_attribute(self.document, ID) if markup.get(e, ID) == identity), None)

    def _start(self, element: Element) -> Fraction | None:
        parsed = values.start(markup.get(element, "data-start"))
        if parsed is None:
            return self._inherited(element)
        if isinstance(parsed, values.After):
            return self._after(parsed)
        host = next((outer for outer in self.around(element) if ID in outer.attrs), None)
        return (ZERO if host is None else self.start(host)) + max(ZERO, parsed)

    def _inherited(self, element: Element) -> Fraction | None:
        # A mounted file's own root carries no start; its host does.
        parent = next(markup.ancestors(element), None)
        if ID not in element.attrs or parent is None or not {ID, SOURCE, _FILE} & set(parent.attrs):
            return None
        return self.start(parent)

    def _after(self, reference: values.After) -> Fraction | None:
        target = self._target(reference.target)
        if target is None:
            return None
        return max(ZERO, self.start(target) + (self.duration(target) or 0) + reference.offset_s)

    def _target(self, name: str) -> Element | None:
        if self._names is None:
            elements = list(markup.walk(self.document))
            # Ids win, and the first of those that are equal.
            named = [(markup.get(e, key), e) for key in ("id", ID) for e in elements]
            self._names = {said: e for said, e in reversed(named) if said is not None}
        return self._names.get(name)
