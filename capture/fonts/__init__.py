"""The one system font that Chromium sees on every host; a composition's own fonts come with its document.

Without any, Chromium draws no text at all, not even in web fonts; with a host's own, hosts differ.
"""

import html
import pkgutil
from pathlib import Path

NAME = "standard.ttf"  # Tinos, Latin: the metrics of Times New Roman, which is Chromium's standard font
CONFIGURATION = "fonts.conf"
_TEXT = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def write(folder: Path) -> None:
    """Puts the font and a fontconfig that knows nothing else into `folder`."""
    folder.mkdir(mode=0o700)
    font = pkgutil.get_data(__name__, NAME)  # what importlib.resources needs takes ten times longer to import
    assert font is not None
    folder.joinpath(NAME).write_bytes(font)
    text = _TEXT.format(folder=html.escape(str(folder), quote=False))
    folder.joinpath(CONFIGURATION).write_text(text, encoding="utf-8")
