"""When WebGL canvases show, as far as markup says it. Pure: reads the tree, changes nothing."""

from fractions import Fraction

from justhtml import Document, Element

from fleet.composition import markup, refuse, timing


def spans(document: Document, total_s: Fraction) -> tuple[tuple[Fraction, Fraction], ...]:
    """Start and end in seconds of each canvas; of all the film where neither it nor what is around it has a time."""
    resolver = timing.Resolver(document)
    found = (
        _span(element, resolver, total_s)
        for element in markup.walk(document, templates=True)
        if element.name == "canvas" and not refuse.is_hidden(element) and resolver.is_mounted(element)
    )
    return tuple(span for span in dict.fromkeys(found) if span[0] < span[1])


def _span(element: Element, resolver: timing.Resolver, total_s: Fraction) -> tuple[Fraction, Fraction]:
    timed = next((one for one in (element, *resolver.around(element)) if "data-start" in one.attrs), None)
    if timed is None:
        return Fraction(0), total_s
    start = resolver.start(timed)
    length = resolver.duration(timed)
    return start, total_s if length is None else min(total_s, start + length)
