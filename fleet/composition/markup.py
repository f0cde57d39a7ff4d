"""HTML as a tree: parse with source lines, walk, edit, serialise.

The parser is justhtml: the whole HTML5 algorithm in typed Python without dependencies, it keeps <template> contents
apart and a source line for every element, and what it writes reads back as the same tree in Chromium (compared on 812
published pages; comments alone may change). html5lib keeps no lines on elements and is no longer developed;
selectolax keeps neither lines nor template contents within reach.
"""

from collections.abc import Iterator, Mapping

import justhtml
from justhtml import Document, Element, Node, Text

XLINK = "xlink:href"
# A newline right after these start tags is swallowed by every parser, so one that belongs to the text is doubled.
_SWALLOW_NEWLINE = frozenset({"pre", "textarea", "listing"})


def parse(text: str) -> Document:
    """The document that a browser would build, every element knowing its source line; names of typing errors apart."""
    root = justhtml.JustHTML(text, sanitize=False, track_node_locations=True).root
    assert isinstance(root, Document)
    for element in walk(root, templates=True):
        # A stray `="320"` is an attribute to a parser, of a name that nobody can write again or select by.
        for name in [name for name in element.attrs if name.startswith("=")]:
            del element.attrs[name]
    return root


def serialise(document: Document) -> str:
    """HTML that parses back into the same tree."""
    swallowed = [
        element.children[0]
        for element in walk(document, templates=True)
        if element.name in _SWALLOW_NEWLINE and text(element).startswith("\n") and isinstance(element.children[0], Text)
    ]
    for node in swallowed:
        node.data = f"\n{node.data}"
    html = document.to_html(pretty=False)
    for node in swallowed:
        node.data = (node.data or "")[1:]
    return html


def is_fragment(document: Document) -> bool:
    """Whether the author wrote neither a doctype nor an <html> tag."""
    return not any(
        child.name == "!doctype" or (child.name == "html" and child.origin_line is not None)
        for child in document.children or ()
    )


def walk(node: Node, *, templates: bool = False) -> Iterator[Element]:
    """Elements below `node` in document order; inside <template> only when asked. Editing while walking is safe."""
    stack: list[Node] = list(reversed(node.children or ()))
    if templates and isinstance(node, Element) and node.template_content is not None:
        stack.append(node.template_content)
    while stack:
        current = stack.pop()
        if isinstance(current, Element):
            yield current
            if templates and current.template_content is not None:
                stack.extend(reversed(current.template_content.children or ()))
        stack.extend(reversed(current.children or ()))


def find(node: Node, *names: str) -> list[Element]:
    """Elements of these names below `node`, in document order."""
    return [element for element in walk(node) if element.name in names]


def first(node: Node, name: str) -> Element | None:
    """The first element of that name below `node`."""
    return next((element for element in walk(node) if element.name == name), None)


def with_attribute(node: Node, name: str) -> list[Element]:
    """Elements below `node` that carry the attribute, in document order."""
    return [element for element in walk(node) if name in element.attrs]


def part(document: Document, name: str) -> Element:
    """The document's <html>, <head> or <body>, which every parsed document has."""
    element = first(document, name)
    if element is not None:
        return element
    # A frameset page has no body; such a page has nothing that could be rendered either.
    created = new(name)
    part(document, "html").append_child(created)
    return created


def get(element: Element, name: str) -> str | None:
    """An attribute's text, empty when it has no value, None when absent."""
    return (element.attrs[name] or "") if name in element.attrs else None


def line(element: Element) -> int:
    """Source line of the element's start tag; 1 for what the parser implied."""
    return element.origin_line or 1


def text(element: Element) -> str:
    """The text directly inside the element, as in a script or a style."""
    return "".join(child.data or "" for child in element.children if isinstance(child, Text))


def set_text(element: Element, data: str) -> None:
    """Replaces all that is inside the element with `data`."""
    for child in list(element.children):
        element.remove_child(child)
    if data:
        element.append_child(Text(data))


def new(name: str, attributes: Mapping[str, str] | None = None, data: str = "") -> Element:
    """A new HTML element with text inside."""
    element = Element(name, dict(attributes or {}), "html")
    if data:
        element.append_child(Text(data))
    return element


def prepend(parent: Node, element: Element) -> None:
    """Makes `element` the first child."""
    parent.insert_before(element, parent.children[0] if parent.children else None)


def replace(old: Element, element: Element) -> None:
    """Puts `element` where `old` was."""
    assert old.parent is not None
    old.parent.replace_child(element, old)


def remove(element: Element) -> None:
    """Takes the element, and all in it, out of its tree."""
    if element.parent is not None:
        element.parent.remove_child(element)


def move_children(source: Node, target: Element) -> None:
    """Moves all that is inside `source` to the end of `target`."""
    for child in list(source.children or ()):
        target.append_child(child)


def ancestors(element: Element) -> Iterator[Element]:
    """Enclosing elements, nearest first."""
    parent = element.parent
    while parent is not None:
        if isinstance(parent, Element):
            yield parent
        parent = parent.parent
