"""Scripts of a page that never end, wherever they run: each is named before its limit is long past."""

from pathlib import Path

import browser_support as support
import pytest
from page_support import CONFIG

from capture import page as page_runtime
from capture.faults import CaptureError, FaultCode
from capture.protocol import CaptureMode

pytestmark = pytest.mark.browser

STAGE = '<div data-composition-id="main" data-no-timeline data-width="320" data-height="180" data-duration="9"></div>'
# GSAP as far as the page runtime asks for it: the callback is what matters.
TIMELINE = """window.__timelines = { main: {
  duration: () => 9, play() {}, pause() {}, totalTime(at) { if (at > 0.02) for (;;); } } };"""
CASES = {
    "microtasks of an animation frame": "const again = () => queueMicrotask(again); requestAnimationFrame(again);",
    "an update of the timeline": TIMELINE,
}


@pytest.mark.parametrize("where", CASES)
def test_a_script_that_does_not_end_is_named_wherever_it_runs(tmp_path: Path, where: str) -> None:
    document = f"<!doctype html>{STAGE}<script>{CASES[where]}</script>"
    bundle = support.bundle(tmp_path / "bundle", document)
    with support.session(bundle, CaptureMode.BEGIN_FRAME, limit_s=4) as opened:
        opened.open(page_runtime.source(CONFIG))
        with pytest.raises(CaptureError, match="a script of the page does not end") as caught:
            list(opened.capture([0, 1]))
        assert caught.value.code is FaultCode.SCRIPT_ENDLESS
