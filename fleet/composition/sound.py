"""Audio: which elements sound, when, from where in their file, and how loud. ffprobe says what the files hold."""

import dataclasses
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from justhtml import Document, Element

from fleet import errors, ffprobe, model, programs
from fleet.composition import lanes, markup, project, refuse, root, timing, values

PROBE_TIMEOUT_S = 30.0
RENDER_ID = "data-hf-render-id"
GROUP = "hf-audio-group"
RATE_MIN, RATE_MAX = Fraction(1, 10), Fraction(5)
# A slot this much longer than its sound is a rounding, not a mistake.
OVERHANG_S = Fraction(1, 20)
_MEDIA = ("video", "audio")

# Render id -> what scripts make of the element's volume.
Heard = Mapping[str, model.Envelope]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """A gain, and what it is multiplied with over time."""

    gain: float
    envelopes: tuple[model.Envelope, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether it is never above nothing."""
        return self.gain <= 0 or any(all(level.gain <= 0 for level in envelope) for envelope in self.envelopes)


@dataclass(slots=True)
class Media:
    """What the media files of the bundle hold, each asked once."""

    files: dict[str, Path]  # path in the bundle -> file
    findings: list[model.Finding] = field(default_factory=list)
    _known: dict[Path, ffprobe.Media | None] = field(default_factory=dict)

    def file_of(self, element: Element) -> Path | None:
        """The local file that a media element plays, from its own source or its first <source>."""
        sources = [element, *markup.find(element, "source")]
        written = next((src for source in sources if (src := markup.get(source, "src"))), "")
        return self.files.get(project.split(written)[0].lstrip("/")) if project.is_local(written) else None

    def facts(self, file: Path) -> ffprobe.Media | None:
        """Container and streams; None when ffprobe finds no media in the file."""
        if file not in self._known:
            self._known[file] = _probe(file)
        return self._known[file]

    def length(self, file: Path) -> Fraction | None:
        """Seconds of sound, or of the container when its sound does not say."""
        facts = self.facts(file)
        if facts is None:
            return None
        sounds = facts.of_kind("audio")
        return (sounds[0].duration_s if sounds else None) or facts.duration_s

    def warn(self, code: str, message: str, remedy: str, where: str) -> None:
        """Notes a warning."""
        self.findings.append(
            model.Finding(severity=model.Severity.WARNING, code=code, message=message, remedy=remedy, where=where)
        )


def _probe(file: Path) -> ffprobe.Media | None:
    command = ffprobe.command(programs.find_ffmpeg().ffprobe, f"file:{file}")
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
        media = ffprobe.parse(ended.stdout)
    except subprocess.TimeoutExpired as error:
        raise errors.CompositionError(
            f"{file}: ffprobe gave no answer within {PROBE_TIMEOUT_S:.0f} s", remedy="convert the file with FFmpeg"
        ) from error
    except ValueError:
        return None
    return media if ended.returncode == 0 and media.streams else None


def stamp(page: project.Page, media: Media) -> None:
    """Gives every media element of one file an id, a start, a length and an end, before files are joined."""
    counts = dict.fromkeys(_MEDIA, 0)
    for element in markup.walk(page.document, templates=True):
        if element.name not in _MEDIA:
            continue
        if not markup.get(element, "id"):
            element.attrs["id"] = f"hf-{element.name}-{counts[element.name]}"
        counts[element.name] += 1
        if "data-start" not in element.attrs:
            element.attrs |= {"data-start": "0", "data-hf-auto-start": ""}
        if element.name == "video":
            element.attrs.setdefault("data-has-audio", "false" if "muted" in element.attrs else "true")
        _stamp_window(element, media)


def _stamp_window(element: Element, media: Media) -> None:
    start = values.number(markup.get(element, "data-start"))
    length = values.positive(markup.get(element, "data-duration"))
    if length is None and not values.positive(markup.get(element, "data-end")):
        length = _natural(element, media)
        if length is not None:
            element.attrs["data-duration"] = values.written(length)
    if start is not None and length is not None:
        element.attrs["data-end"] = values.written(start + length)


def _natural(element: Element, media: Media) -> Fraction | None:
    file = media.file_of(element)
    length = media.length(file) if file is not None and not refuse.is_hidden(element) else None
    rest = (length - in_point(element)) / rate(element) if length is not None else None
    return rest if rest is not None and rest > 0 else None


def in_point(element: Element) -> Fraction:
    """Seconds into the file at which it starts to play."""
    for name in ("data-playback-start", "data-media-start"):
        if (value := values.number(markup.get(element, name))) is not None:
            return max(Fraction(0), value)
    return Fraction(0)


def rate(element: Element) -> Fraction:
    """Speed of the source: 0.1 to 5, 1 when it says none."""
    value = values.positive(markup.get(element, "data-playback-rate"))
    return Fraction(1) if value is None else min(RATE_MAX, max(RATE_MIN, value))


def gain(element: Element) -> float:
    """Linear gain of the element."""
    value = values.number(markup.get(element, "data-volume"))
    return 1.0 if value is None else lanes.clamped(float(value))


def hide_groups(document: Document) -> None:
    """Takes the box from elements that only say how tracks sound together: layouts must not count them."""
    for element in markup.walk(document, templates=True):
        if element.name == GROUP:
            element.attrs["style"] = f"{markup.get(element, 'style') or ''};display:none!important".lstrip(";")


def assign_render_ids(document: Document) -> None:
    """Gives every media element and image one name in the whole document: its id, or its id with a suffix."""
    named = {"video", "audio", "img"}
    elements = [e for e in markup.walk(document, templates=True) if e.name in named and "src" in e.attrs]
    taken = {identity for element in elements if (identity := markup.get(element, RENDER_ID))}
    for element in elements:
        if not markup.get(element, RENDER_ID):
            identity = _unique(markup.get(element, "id") or f"hf-media-{len(taken)}", taken)
            taken.add(identity)
            element.attrs[RENDER_ID] = identity


def _unique(base: str, taken: set[str]) -> str:
    names = (base, *(f"{base}__hf{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def tracks(
    document: Document, total_s: Fraction, media: Media, heard: Heard | None = None
) -> tuple[model.AudioTrack, ...]:
    """Every element that sounds within the composition, in document order; `heard` is what scripts do to volumes."""
    resolver = timing.Resolver(document)
    groups = {markup.get(e, "id") or "": e for e in markup.walk(document, templates=True) if e.name == GROUP}
    found: list[model.AudioTrack | None] = []
    for element in sounding(document):
        start_s = resolver.media_start(element) if resolver.is_mounted(element) else None
        if start_s is None:
            continue
        group = groups.get(markup.get(element, "data-audio-group") or "") if element.name == "audio" else None
        loudness = _loudness(element, group, start_s, media, heard or {})
        if not loudness.is_silent:
            found.append(_track(element, loudness, resolver, media))
    inside = (_clipped(track, Fraction(0), total_s) for track in found if track is not None)
    return tuple(track for track in inside if track is not None)


def sounding(document: Document) -> Iterator[Element]:
    """Every element that is to be heard, if its volume allows."""
    for element in markup.walk(document, templates=True):
        has_sound = element.name == "audio" or (
            element.name == "video" and markup.get(element, "data-has-audio") == "true"
        )
        if has_sound and "muted" not in element.attrs and not refuse.is_hidden(element):
            yield element


def _loudness(element: Element, group: Element | None, start_s: Fraction, media: Media, heard: Heard) -> Loudness:
    """A lane says it all; else what scripts do to the volume; else the volume that is written. A group comes on top."""
    own = _led(_lane(element, start_s, media) or heard.get(_name(element), ()), gain(element))
    if group is None:
        return own
    if refuse.is_hidden(group):
        return Loudness(gain=0.0)
    # A group has no start of its own: its lane runs in the time of the composition.
    shared = _led(_lane(group, Fraction(0), media), gain(group))
    return Loudness(gain=own.gain * shared.gain, envelopes=own.envelopes + shared.envelopes)


def _led(envelope: model.Envelope, otherwise: float) -> Loudness:
    gains = {lanes.clamped(level.gain) for level in envelope} or {otherwise}
    if len(gains) == 1:
        return Loudness(gain=gains.pop())
    clamped = tuple(model.Level(level.at_s, lanes.clamped(level.gain)) for level in envelope)
    return Loudness(gain=1.0, envelopes=(clamped,))


def _lane(element: Element, start_s: Fraction, media: Media) -> model.Envelope:
    written = markup.get(element, "data-automation")
    if not written:
        return ()
    try:
        return lanes.volume(written, start_s=start_s)
    except ValueError as error:
        said = f"`data-automation` is not followed: {error}"
        media.warn("audio-automation", said, "mend or remove the attribute", _where(element))
        return ()


def _name(element: Element) -> str:
    return markup.get(element, RENDER_ID) or markup.get(element, "id") or ""


def _where(element: Element) -> str:
    return f"<{element.name} id={_name(element)!r}>"


def _track(element: Element, loudness: Loudness, resolver: timing.Resolver, media: Media) -> model.AudioTrack | None:
    where = _where(element)
    file = media.file_of(element)
    if file is None:
        return None
    facts = media.facts(file)
    if facts is None:
        media.warn("audio-unreadable", f"{file.name} is no media file; its sound is left out", "replace it", where)
        return None
    if not facts.of_kind("audio"):
        return None  # a silent file: nothing to mix, nothing wrong
    length = _playable(element, file, where, media)
    if length is None:
        return None
    track = model.AudioTrack(
        id=_name(element),
        file=str(file),
        start_s=resolver.media_start(element),
        duration_s=length,
        media_start_s=in_point(element),
        rate=rate(element),
        gain=loudness.gain,
        envelopes=loudness.envelopes,
    )
    return _within_hosts(track, element, resolver)


def _playable(element: Element, file: Path, where: str, media: Media) -> Fraction | None:
    slot, natural = values.positive(markup.get(element, "data-duration")), media.length(file)
    if slot is None:
        end = values.number(markup.get(element, "data-end"))
        start = values.number(markup.get(element, "data-start"))
        slot = end - start if end is not None and start is not None and end > start else None
    if natural is None:
        return slot
    rest = (natural - in_point(element)) / rate(element)
    if rest <= 0:
        media.warn("audio-past-end", f"{file.name} ends before its in-point", "lower `data-media-start`", where)
        return None
    if slot is not None and slot > rest + OVERHANG_S and "loop" not in element.attrs:
        said = f"{file.name} lasts {values.written(rest)} s of the {values.written(slot)} s that it is given"
        media.warn("audio-short", said, "shorten `data-duration`", where)
    return rest if slot is None else min(slot, rest)


def _within_hosts(track: model.AudioTrack, element: Element, resolver: timing.Resolver) -> model.AudioTrack | None:
    """What is left of a track inside the windows of the timed elements around it: what is not shown does not sound."""
    top = root.choose(resolver.document)
    clipped: model.AudioTrack | None = track
    for outer in (outer for outer in resolver.around(element) if "data-start" in outer.attrs and outer is not top):
        start, length = resolver.start(outer), resolver.duration(outer)
        stop = start + length if length is not None else None
        clipped = _clipped(clipped, start, stop) if clipped is not None else None
    return clipped


def _clipped(track: model.AudioTrack, start_s: Fraction, stop_s: Fraction | None) -> model.AudioTrack | None:
    start = max(track.start_s, start_s)
    stop = track.start_s + track.duration_s if stop_s is None else min(track.start_s + track.duration_s, stop_s)
    if stop <= start:
        return None
    in_point_s = track.media_start_s + (start - track.start_s) * track.rate
    return dataclasses.replace(track, start_s=start, duration_s=stop - start, media_start_s=in_point_s)
