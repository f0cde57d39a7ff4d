"""When something at the top level of a composition begins or ends: between two such moments lies a scene. Pure."""

from fractions import Fraction

from justhtml import Document, Element

from fleet.composition import markup, timing
from fleet.composition.root import ID

_SILENT = ("audio", "script", "template")


def find(document: Document) -> tuple[Fraction, ...]:
    """Seconds, ascending, of every clip and every mounted composition that belongs to no other one."""
    resolver = timing.Resolver(document)
    moments: set[Fraction] = set()
    for element in markup.with_attribute(document, "data-start"):
        if element.name in _SILENT or not _is_at_the_top(element, resolver):
            continue
        start = resolver.media_start(element) if element.name == "video" else resolver.start(element)
        moments.add(start)
        if (length := resolver.duration(element)) is not None:
            moments.add(start + length)
    return tuple(sorted(moments))


def _is_at_the_top(element: Element, resolver: timing.Resolver) -> bool:
    """Whether the one composition around the element is the root, or it is the root itself."""
    return sum(ID in outer.attrs for outer in resolver.around(element)) < 2
