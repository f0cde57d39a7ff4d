"""The program that rsync takes for ssh: hands its ends of rsync's pipes to the coordinator and waits for the end.

rsync runs it as `rsh.py SOCKET TOKENFILE HOST COMMAND...`. It copies nothing and knows no key: the coordinator checks
the token and carries the bytes over the connection that it has. The token is in a file because everybody can read argv.
"""

import json
import os
import socket
import sys
from pathlib import Path


def main() -> int:
    """The exit status of the remote command; 255, as ssh has it, when there was none."""
    path, token_file, _host, *command = sys.argv[1:]
    request = {"token": Path(token_file).read_text(), "command": command}
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        socket.send_fds(control, [json.dumps(request).encode() + b"\n"], [0, 1])
        # Both would keep rsync from seeing the end of the stream.
        os.close(0)
        os.close(1)
        return int(control.makefile("rb").readline() or b"255")


if __name__ == "__main__":
    os._exit(main())  # no flush: standard output is not ours any more
