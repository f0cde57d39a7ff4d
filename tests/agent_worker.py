"""A worker without a browser, for tests: speaks the real protocol and writes real, tiny JPEG files.

usage: agent_worker.py REPOSITORY SCRIPT, where SCRIPT is JSON:
  frame_s       how long a frame takes
  faults        {"<frame>": [what happens there the first time, the second time, ...]}; after that the frame is fine
  start_faults  the same for starting
  daemon        file that gets the id of a double-forked process with a session of its own
What happens: "die", "hang", "truncate", "skip", or a fault code, which is said as BlockFailed.
"""

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path[0] = sys.argv[1]

from capture import frames, protocol  # noqa: E402
from capture.faults import Fault, FaultCode  # noqa: E402
from capture.protocol import Block, BlockDone, BlockFailed, FrameWritten, Note, Open, Ready, Setup  # noqa: E402

SCRIPT = json.loads(sys.argv[2])


def say(message: protocol.Message) -> None:
    sys.stdout.buffer.write(protocol.encode(message))
    sys.stdout.buffer.flush()


def hear() -> protocol.Message:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    return protocol.decode(line)


def picture(frame: int, width: int, height: int) -> bytes:
    size = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + size + f"frame {frame}".encode() * 20 + b"\xff\xd9"


def happens(kind: str, key: str, place: Path) -> str | None:
    """What the script wants here this time; times are counted in files, because workers are processes."""
    wanted = SCRIPT.get(kind, {}).get(key, [])
    for turn, what in enumerate(wanted):
        try:
            (place / f".{kind}-{key}-{turn}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return str(what)
    return None


def suffer(what: str, frame: int | None, offset: int) -> None:
    if what == "die":
        os._exit(7)
    if what == "hang":
        time.sleep(3600)
    local = None if frame is None else frame - offset
    fault = Fault(code=FaultCode(what), message="as scripted", frame=frame, local_frame=local, console=("a line",))
    say(BlockFailed(fault))
    sys.exit(1)


def capture(setup: Setup, block: Block) -> None:
    directory = Path(block.directory)
    for frame in block.frames:
        time.sleep(SCRIPT.get("frame_s", 0.0))
        what = happens("faults", str(frame), directory)
        if what == "skip":
            continue
        if what not in (None, "truncate"):
            suffer(str(what), frame, block.offset)
        data = picture(frame, setup.spec.width, setup.spec.height)
        written = frames.write(data, directory=directory, frame=frame, offset=block.offset, image=setup.spec.image)
        say(FrameWritten(written))
        if what == "truncate":
            path = directory / protocol.frame_name(frame - block.offset, setup.spec.image)
            path.write_bytes(data[:40])
    say(BlockDone(block.frames))


def main() -> None:
    setup = hear()
    assert isinstance(setup, Setup)
    profile = Path(setup.profile_directory)
    profile.mkdir(mode=0o700)
    if "daemon" in SCRIPT:
        code = "import os,sys,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0);"
        code += "open(sys.argv[1],'a').write(f'{os.getpid()}\\n'); time.sleep(3600)"
        subprocess.run([sys.executable, "-ISc", code, SCRIPT["daemon"]], check=True)
    if what := happens("start_faults", "start", profile.parent):
        suffer(what, None, 0)
    say(Note("info", "worker", f"started {os.getpid()}"))
    if not setup.is_open:
        assert isinstance(hear(), Open)
    say(Ready())
    while True:
        block = hear()
        assert isinstance(block, Block)
        capture(setup, block)


if __name__ == "__main__":
    main()
