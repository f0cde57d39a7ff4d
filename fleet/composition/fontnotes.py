"""What is said of fonts and characters that cannot be had, as findings. What stops a render is for `fonts` to say."""

from collections.abc import Iterator

from fleet import model
from fleet.composition import speech
from fleet.composition.assets import Assets

_SHOWN_LIMIT = 12  # families or characters in one message


def unresolved(files: Assets, key: str, what: str) -> model.Finding:
    """No source has the family `key`, which is `what` in words."""
    where = files.source.find(key)
    return model.Finding(
        severity=model.Severity.WARNING,
        code="font-unresolved",
        message=f"{where + ': ' if where else ''}no source has {what}; without it another font is shown",
        remedy="put the font file into the project and name it in an @font-face rule",
        where=where,
    )


def unread(files: Assets, key: str) -> model.Finding:
    """The family `key` was to come from the machine alone."""
    return model.Finding(
        severity=model.Severity.WARNING,
        code="font-local",
        message=f"an @font-face rule takes `{key}` from the machine alone, where none is read: another font is shown",
        remedy="put the font file into the project and name it in the rule, or remove the rule",
        where=files.source.find(key),
    )


def undrawn(files: Assets, absent: frozenset[str]) -> model.Finding:
    """No font has the characters `absent`; the first of them are shown with their places."""
    places = {c: files.source.find(c) for c in sorted(absent)[:_SHOWN_LIMIT]}
    listed = ", ".join(f"{c} (U+{ord(c):04X}{', ' + place if place else ''})" for c, place in places.items())
    more = f" and {len(absent) - len(places)} more" if len(absent) > len(places) else ""
    return model.Finding(
        severity=model.Severity.WARNING,
        code="character-undrawn",
        message=f"no font has the characters {listed}{more}; without one they are empty boxes",
        remedy="put a font that has them into the project and name it in an @font-face rule",
        where=next(iter(places.values())),
    )


def unknown_text(files: Assets) -> Iterator[model.Finding]:
    """Text may come that nobody has seen."""
    if any(speech.fetches_unknown(source, files.files) for source in files.spoken):
        yield model.Finding(
            severity=model.Severity.NOTE,
            code="text-at-run-time",
            message="a script fetches data that is not in the bundle: fonts for text in it cannot be brought along",
            remedy="name the file in the script, or put the text into the page",
        )
