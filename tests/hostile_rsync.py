"""An rsync on a host that sends what nobody asked for: stands before the real one, whose arguments it changes.

A file `kind` beside it says how.
`recurse`: names that were asked for are followed into folders. `zeros`: an endless stream. `talk`: words instead.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

KIND = Path(__file__).with_name("kind").read_text().strip()
REAL = "/usr/bin/rsync"


def main() -> None:
    if "--sender" not in sys.argv or KIND == "honest":
        os.execv(REAL, [REAL, *sys.argv[1:]])
    if KIND == "zeros":
        while True:
            os.write(1, b"\0" * 65536)
    if KIND == "talk":
        os.write(1, b"\x1b[2Jwelcome\r\n" * 1000)
        return
    # --secluded-args: the real arguments come first on standard input, each ended by NUL, two at the end.
    words = b""
    while not words.endswith(b"\0\0"):
        words += os.read(0, 1)
    arguments = words[:-2].split(b"\0")
    changed = [*arguments[:2], b"-r", *arguments[2:]]
    process = subprocess.Popen([REAL, *sys.argv[1:]], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"\0".join(changed) + b"\0\0")
    process.stdin.flush()
    threading.Thread(target=pump, args=(process.stdin.fileno(),), daemon=True).start()
    os._exit(process.wait())


def pump(descriptor: int) -> None:
    while data := os.read(0, 65536):
        os.write(descriptor, data)
    os.close(descriptor)


if __name__ == "__main__":
    main()
