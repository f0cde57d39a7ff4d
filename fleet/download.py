"""One file over HTTP or HTTPS, bounded in size and time. Keeps nothing, and decides nothing: `assets.py` does."""

import contextlib
import http.client
import time
import urllib.error
import urllib.request

# A media file of a composition; more is a mistake, or a server that never stops sending.
SIZE_LIMIT_BYTES = 512 * 1024 * 1024
CONNECT_TIMEOUT_S = 15.0  # also the longest silence between two reads
TOTAL_TIMEOUT_S = 300.0
READ_BYTES = 256 * 1024
# Font services answer by browser: without a current one they offer TTF, or nothing.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


class Refused(Exception):
    """The server answered, and not with the file."""


class NoAnswer(Exception):
    """Nothing of use came from the server: asking it for another file is of no use either."""


def read(url: str) -> bytes:
    """The bytes at `url`. Raises Refused or NoAnswer."""
    try:
        return _read(url)
    except urllib.error.HTTPError as error:
        error.close()
        raise Refused(f"the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise NoAnswer(str(getattr(error, "reason", error))) from error


def _read(url: str) -> bytes:
    opener = urllib.request.OpenerDirector()  # no file: and no ftp:, also not by redirect
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})  # noqa: S310  # handlers above
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    with contextlib.closing(opener.open(request, timeout=CONNECT_TIMEOUT_S)) as response:
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(READ_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > SIZE_LIMIT_BYTES:
                raise Refused(f"larger than {SIZE_LIMIT_BYTES} bytes")
            if time.monotonic() > deadline:
                raise Refused(f"still sending after {TOTAL_TIMEOUT_S:.0f} s")
        expected = response.headers.get("Content-Length")
        if expected is not None and expected.isdigit() and int(expected) != size:
            raise Refused(f"the connection ended after {size} of {expected} bytes")
    return b"".join(chunks)
