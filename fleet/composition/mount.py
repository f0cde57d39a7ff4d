"""Sub-compositions: each file named by `data-composition-src` becomes part of the document, confined to its place."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from justhtml import Document, Element, Node

from fleet import errors, model
from fleet.composition import assets, css, markup, project, scripts, values, variables
from fleet.composition.root import ID, SOURCE

DEPTH_LIMIT = 20
# Compositions that mount each other a few times each grow beyond all bounds in a few levels.
MOUNTS_LIMIT = 2000
_INSTANCE = "__hf"
_ORIGINAL_ID = "data-hf-original-composition-id"
_FILE = "data-composition-file"
# The mounting element has these now; twice they would count twice.
_STRIPPED = (
    ID, SOURCE, _FILE, "data-start", "data-duration", "data-end", "data-track-index", "data-track",
    "data-hf-authored-duration", "data-hf-authored-end",
)  # fmt: skip
_HOISTED_LINKS = frozenset({"stylesheet", "preload", "modulepreload"})


@dataclass(frozen=True, slots=True)
class _Host:
    element: Element
    page: str  # the file it is written in
    ancestry: tuple[str, ...]  # files around it, outermost first

    @property
    def where(self) -> str:
        return f"{self.page}:{markup.line(self.element)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What one file brings: its tree, the element it is about, and where its assets stand."""

    page: project.Page
    body: Node  # a <template>'s content, or the <body>
    head: Element | None  # the <head>, unless the content is a template
    root: Element | None
    declared_id: str


@dataclass(slots=True)
class Mounting:
    """Everything that mounting adds to the document, in order."""

    document: Document
    open: Callable[[str], project.Page]
    source: project.Project
    table: variables.Table = field(default_factory=variables.Table)
    _styles: list[str] = field(default_factory=list)
    _scripts: list[Element] = field(default_factory=list)
    _links: list[Element] = field(default_factory=list)
    _problems: list[str] = field(default_factory=list)
    _instances: dict[str, int] = field(default_factory=dict)
    _taken: Counter[str | None] = field(default_factory=Counter)  # ids of compositions in the document

    def run(self, entry: str) -> None:
        """Mounts all sub-compositions, those inside others included; CompositionError lists every unusable file."""
        hosts = list(self._hosts(self.document, entry, ()))
        self._taken = Counter(_identities(self.document))
        repeated = _repeated(markup.get(host.element, ID) or "" for host in hosts)
        queue = [(host, (markup.get(host.element, ID) or "") in repeated) for host in hosts]
        for host, is_renamed in queue:  # grows while it is read
            if len(queue) > MOUNTS_LIMIT:
                raise errors.CompositionError(
                    f"{host.where}: more than {MOUNTS_LIMIT} sub-compositions are mounted",
                    remedy="mount fewer, or put what repeats into one file",
                )
            content = self._content(host)
            if content is None:
                continue
            self._mount(host, content, is_renamed=is_renamed)
            nested = self._hosts(host.element, content.page.path, (*host.ancestry, content.page.path))
            # As in HyperFrames, whatever is found inside another composition is renamed, even when it is alone.
            queue += [(inner, True) for inner in nested]
        if self._problems:
            raise errors.CompositionError(
                "\n".join(self._problems), remedy="put the files in place, or correct `data-composition-src`"
            )
        self._append()

    def _hosts(self, node: Node, page: str, ancestry: tuple[str, ...]) -> Iterator[_Host]:
        for element in markup.with_attribute(node, SOURCE):
            if (markup.get(element, SOURCE) or "").strip():
                yield _Host(element, page, ancestry)

    def _content(self, host: _Host) -> _Content | None:
        src = (markup.get(host.element, SOURCE) or "").strip()
        try:
            path = project.resolve(self.source, "", project.split(src)[0])  # always from the project's root
        except project.OutsideProjectError:
            path = ""
        if path in host.ancestry or path == self.source.entry:
            self._note_cycle(host, src)
            del host.element.attrs[SOURCE]
            return None
        content = None
        if not path:
            why = "leads out of the project"
        elif self.source.file(path) is None:
            why = assets.why_missing(src)
        elif len(host.ancestry) >= DEPTH_LIMIT:
            why = f"mounted more than {DEPTH_LIMIT} levels deep"
        else:
            content = _read(self.open(path), (markup.get(host.element, ID) or "").strip())
            why = "" if content.declared_id else f"the file is empty or has no element with `{ID}`"
        if why:
            self._problems.append(f"{host.where}: {src}: {why}")
        return None if why else content

    def _note_cycle(self, host: _Host, src: str) -> None:
        self.table.findings.append(
            model.Finding(
                severity=model.Severity.WARNING,
                code="circular-composition",
                message=f"{src} mounts itself; the inner one stays empty",
                remedy=f"remove this `{SOURCE}`",
                where=host.where,
            )
        )

    def _mount(self, host: _Host, content: _Content, *, is_renamed: bool) -> None:
        host_id = (markup.get(host.element, ID) or "").strip()
        authored = host_id or content.declared_id
        runtime = self._runtime_id(authored) if is_renamed or (not host_id and self._is_taken(authored)) else authored
        if host_id and runtime != authored:
            self._taken.subtract([markup.get(host.element, ID)])
            self._taken.update([runtime])
            host.element.attrs |= {ID: runtime, _ORIGINAL_ID: authored}
        root_id = (markup.get(content.root, "id") or "").strip() if content.root else ""
        self._collect_variables(host, content, runtime)
        self._collect_styles(content, css.Scope(authored_id=authored, runtime_id=runtime, root_id=root_id))
        self._collect_scripts(content, css.Scope(authored_id=content.declared_id, runtime_id=runtime, root_id=root_id))
        self._taken.subtract(_identities(host.element))
        _place(host.element, content, wrapper_id="" if host_id else runtime)
        self._taken.update(_identities(host.element))
        host.element.attrs[_FILE] = host.element.attrs.pop(SOURCE)

    def _is_taken(self, identity: str) -> bool:
        return self._taken[identity] > 0

    def _runtime_id(self, authored: str) -> str:
        while True:
            self._instances[authored] = self._instances.get(authored, 0) + 1
            identity = f"{authored}{_INSTANCE}{self._instances[authored]}"
            if not self._is_taken(identity):
                return identity

    def _collect_variables(self, host: _Host, content: _Content, runtime: str) -> None:
        carriers = [(markup.part(content.page.document, "html"), f"{content.page.path}:1")]
        if content.root is not None:
            carriers.append((content.root, f"{content.page.path}:{markup.line(content.root)}"))
        merged: variables.Values = {}
        for carrier, where in carriers:
            merged |= variables.declared(carrier, where)
        merged |= variables.given(host.element, host.where)
        variables.check(carriers, merged, self.table)
        if merged:
            self.table.mounted[runtime] = merged

    def _collect_styles(self, content: _Content, scope: css.Scope) -> None:
        self._links += [
            link
            for link in markup.find(markup.part(content.page.document, "head"), "link")
            if _HOISTED_LINKS & set((markup.get(link, "rel") or "").lower().split())
        ]
        for style in _taken(content, lambda element: element.name == "style"):
            self._styles.append(css.scoped(markup.text(style), scope))

    def _collect_scripts(self, content: _Content, scope: css.Scope) -> None:
        for script in _taken(content, scripts.runs):
            if scripts.is_javascript(script) and not markup.get(script, "src"):
                script = markup.new("script", data=scripts.mounted(markup.text(script), scope))
            self._scripts.append(script)

    def _append(self) -> None:
        head, body = markup.part(self.document, "head"), markup.part(self.document, "body")
        known = {markup.get(link, "href") for link in markup.find(self.document, "link")}
        for link in self._links:
            if markup.get(link, "href") not in known:
                known.add(markup.get(link, "href"))
                head.append_child(link)
        if self._styles:
            head.append_child(markup.new("style", data="\n\n".join(self._styles)))
        known = {markup.get(script, "src") for script in markup.find(self.document, "script")}
        for script in (script for script in self._scripts if markup.get(script, "src")):
            if markup.get(script, "src") not in known:
                known.add(markup.get(script, "src"))
                body.append_child(script)
        inline = [script for script in self._scripts if not markup.get(script, "src")]
        if table := variables.script_of(self.table):
            body.append_child(markup.new("script", data=table))
        for script in inline:
            body.append_child(script)


def _identities(node: Node) -> Iterator[str | None]:
    return (element.attrs[ID] for element in markup.with_attribute(node, ID))


def _repeated(identities: Iterable[str]) -> set[str]:
    return {identity for identity, count in Counter(identities).items() if identity and count > 1}


def _read(page: project.Page, host_id: str) -> _Content:
    template = markup.first(page.document, "template")
    body: Node = markup.part(page.document, "body")
    if template is not None and template.template_content is not None:
        body = template.template_content
    roots = markup.with_attribute(body, ID)
    matching = [root for root in roots if not host_id or markup.get(root, ID) == host_id]
    root = matching[0] if matching else None
    declared = root or (roots[0] if roots else None)
    return _Content(
        page=page,
        body=body,
        head=markup.part(page.document, "head") if template is None else None,
        root=root,
        declared_id=(markup.get(declared, ID) or "").strip() if declared else "",
    )


def _taken(content: _Content, is_wanted: Callable[[Element], bool]) -> list[Element]:
    """The wanted elements of head and content, in order, taken out of their tree."""
    found = [
        element for part in (content.head, content.body) if part is not None for element in markup.walk(part)
        if is_wanted(element)
    ]  # fmt: skip
    for element in found:
        markup.remove(element)
    return found


def _place(host: Element, content: _Content, *, wrapper_id: str) -> None:
    for child in list(host.children):
        host.remove_child(child)
    if content.root is None:
        markup.move_children(content.body, host)
        return
    for name in ("data-width", "data-height"):
        if not markup.get(host, name) and markup.get(content.root, name):
            host.attrs[name] = content.root.attrs[name]
    if "data-timeline-locked" in content.root.attrs:
        host.attrs["data-timeline-locked"] = ""
    _fit(host)
    _flatten(content.root, wrapper_id)
    markup.remove(content.root)
    host.append_child(content.root)


def _fit(host: Element) -> None:
    width, height = values.pixels(markup.get(host, "data-width")), values.pixels(markup.get(host, "data-height"))
    style = markup.get(host, "style") or ""
    if width and height:
        missing = [f"{name}:{size}px" for name, size in (("width", width), ("height", height)) if name not in style]
        host.attrs["style"] = ";".join(filter(None, [style.rstrip("; "), *missing]))


def _flatten(root: Element, wrapper_id: str) -> None:
    width, height = values.pixels(markup.get(root, "data-width")), values.pixels(markup.get(root, "data-height"))
    for name in _STRIPPED:
        root.attrs.pop(name, None)
    if identity := (root.attrs.pop("id", None) or "").strip():
        root.attrs[css.AUTHORED_ID] = identity
    root.attrs[css.INNER_ROOT] = "true"
    size = f"width:{width}px" if width else "width:100%", f"height:{height}px" if height else "height:100%"
    root.attrs["style"] = ";".join(filter(None, [(markup.get(root, "style") or "").rstrip("; "), *size]))
    if wrapper_id:
        root.attrs[ID] = wrapper_id
