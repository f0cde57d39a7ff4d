"""A worker that draws frames and keeps nothing, for `loops`: a seek, a beginFrame with its picture, the next one.

Takes Setup and Blocks as a worker does, and answers with Ready and BlockDone. The browser, its flags and the page are
those of a render; the loop knows no settling, no repeats, no checks, no files.
"""

import sys
import time
from pathlib import Path

import checkout  # noqa: F401

from capture import browser, cdp, page, protocol, replies, shutter
from capture.faults import FaultCode
from capture.protocol import Block, BlockDone, Ready, RenderSpec, Setup
from capture.session import Session

FRAME_LIMIT_S = 60.0


def main() -> None:
    setup = protocol.decode(sys.stdin.buffer.readline())
    assert isinstance(setup, Setup)
    spec = setup.spec
    with browser.start(
        setup.chromium,
        mode=spec.mode,
        size=(spec.width, spec.height),
        profile=Path(setup.profile_directory),
        sandbox=setup.sandbox,
        extra=setup.chromium_args,
    ) as started:
        blobs = Path(setup.blobs_directory or setup.bundle_directory)
        session = Session(
            started.connection, spec, bundle=Path(setup.bundle_directory), blobs=blobs, note=lambda _: None
        )
        session.open(page.source(page.config(spec, limit_s=setup.page_limit_s)))
        tab = session._session  # nobody else asks for it
        say(Ready())
        for line in sys.stdin.buffer:
            block = protocol.decode(line)
            assert isinstance(block, Block)
            for frame in block.frames:
                draw(started.connection, tab, spec, frame)
            say(BlockDone(block.frames))


def draw(connection: cdp.Connection, tab: str, spec: RenderSpec, frame: int) -> None:
    """One frame, and nothing more than it needs."""
    deadline = time.monotonic() + FRAME_LIMIT_S
    sought = connection.send("Runtime.evaluate", replies.question(f"__fleet.seek({frame})"), tab)
    found = replies.value(connection.reply(sought, deadline), FaultCode.SEEK_FAILED)
    if found["needsPaint"]:
        raise SystemExit("this page draws painted elements, which takes more than a bare loop does")
    interval_ms = 1000 / spec.fps
    params = {
        "frameTimeTicks": float(shutter.FIRST_FRAME_MS + frame * interval_ms),
        "interval": float(interval_ms),
        "screenshot": {"format": "jpeg", "quality": spec.jpeg_quality},
    }
    connection.reply(connection.send("HeadlessExperimental.beginFrame", params, tab), deadline)


def say(message: Ready | BlockDone) -> None:
    sys.stdout.buffer.write(protocol.encode(message))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
