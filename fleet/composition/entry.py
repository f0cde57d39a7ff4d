"""The entry page made whole: a fragment gets a page around it, a lone template an element that shows it."""

from justhtml import Document, Element

from fleet.composition import markup, root

# What HyperFrames puts around a fragment. The black background comes from here alone: a full page without a
# background of its own is white.
FRAGMENT_STYLE = (
    "*{margin:0;padding:0;box-sizing:border-box;text-rendering:geometricPrecision}"
    'body{overflow:hidden;background:#000;font-family:"Inter",sans-serif}'
)
FRAGMENT_BODY_STYLE = "margin:0;overflow:hidden"
# Fractional glyph positions. Headless and full Chromium choose differently by themselves, and text would wrap
# differently. No specificity: authors' own rules win.
TEXT_RENDERING = "html,body,*{text-rendering:geometricPrecision}"
_TEXT_RENDERING_MARK = "data-hyperframes-text-rendering"
_TEMPLATE_SUFFIX = "-template"
_KEPT = ("data-width", "data-height", "data-fps", "data-duration", "data-composition-duration")


def complete(document: Document) -> None:
    """Gives a fragment its page and a template-only page its root."""
    if markup.is_fragment(document):
        _wrap(document)
    _mount_lone_template(document)


def _wrap(document: Document) -> None:
    head, body = markup.part(document, "head"), markup.part(document, "body")
    # Styles and scripts that open a fragment are parsed into the head; a page around it has them in its body.
    for child in reversed(list(head.children)):
        body.insert_before(child, body.children[0] if body.children else None)
    head.append_child(markup.new("style", data=FRAGMENT_STYLE))
    body.attrs.setdefault("style", FRAGMENT_BODY_STYLE)
    document.insert_before(_doctype(), markup.part(document, "html"))


def _doctype() -> Element:
    node = markup.parse("<!doctype html>").children[0]  # type: ignore[index]
    node.parent = None
    assert node.name == "!doctype"
    return node  # type: ignore[no-any-return]


def _mount_lone_template(document: Document) -> None:
    if not _shows_nothing(document):
        return
    for template in markup.find(document, "template"):
        name = markup.get(template, "id") or ""
        inner = _inner_root(template)
        if inner is None or template.template_content is None:
            continue
        identity = name.removesuffix(_TEMPLATE_SUFFIX) or markup.get(inner, root.ID) or "root"
        template.attrs["id"] = f"{identity}{_TEMPLATE_SUFFIX}"
        html = markup.part(document, "html")
        html.attrs.pop(root.ID, None)
        host = markup.new("div", {"id": "root", root.ID: identity, "data-start": "0"})
        for attribute in _KEPT:
            if (value := markup.get(inner, attribute) or markup.get(html, attribute)) is not None:
                host.attrs[attribute] = value
        markup.part(document, "body").append_child(host)
        return


def _shows_nothing(document: Document) -> bool:
    elements = markup.walk(markup.part(document, "body"))
    return all(element.name in {"template", "script", "style", "link"} for element in elements)


def _inner_root(template: Element) -> Element | None:
    content = template.template_content
    found = markup.with_attribute(content, root.ID) if content is not None else []
    return found[0] if found else None


def finish(document: Document) -> None:
    """What every compiled page carries first: its character set, and exact glyph positions."""
    head = markup.part(document, "head")
    if not any(_TEXT_RENDERING_MARK in style.attrs for style in markup.find(document, "style")):
        markup.prepend(head, markup.new("style", {_TEXT_RENDERING_MARK: "true"}, TEXT_RENDERING))
    for meta in markup.find(document, "meta"):
        if "charset" in meta.attrs or (markup.get(meta, "http-equiv") or "").lower() == "content-type":
            markup.remove(meta)  # whatever it said, the compiled page is UTF-8
    markup.prepend(head, markup.new("meta", {"charset": "utf-8"}))
    for media in markup.find(document, "video", "audio"):
        if markup.get(media, "preload") == "none":
            del media.attrs["preload"]  # readiness waits for media that would never load
