"""Messages between coordinator, agent and worker, one JSON object a line. Pure: no I/O.

Both sides refuse lines over the limit, unknown messages and values of the wrong type.
"""

import json

from capture import wire
from capture.protocol.agent import (
    Canaried,
    Captured,
    Cleaned,
    Denied,
    Done,
    Encoded,
    Examined,
    Facts,
    Failed,
    GlTried,
    Granted,
    Loaded,
    Missing,
    Note,
    Pong,
    Prepared,
    Probed,
    Rehearsed,
    Resized,
    Seam,
    Started,
    Stopping,
    Trimmed,
    Unencoded,
)
from capture.protocol.coordinator import (
    Ack,
    Acquire,
    Allow,
    Bye,
    Canary,
    Cancel,
    Capture,
    Clean,
    Encode,
    Examine,
    Hello,
    Offer,
    Ping,
    Prepare,
    Probe,
    Rehearse,
    Trim,
    TryGl,
    Warm,
)
from capture.protocol.worker import (
    Block,
    BlockDone,
    BlockFailed,
    FrameWritten,
    Misjudged,
    Open,
    Ready,
    SeamDrawn,
    Setup,
    Stepped,
)

VERSION = 1
# Bounds what a broken peer can make us buffer; the largest honest line, 1,000 captured frames, is 100 KiB.
LINE_LIMIT_BYTES = 256 * 1024
FRAMES_PER_MESSAGE = 500
DIGESTS_PER_MESSAGE = 2000


class ProtocolError(Exception):
    """The peer said something that is not a message of this protocol."""


ToAgent = (
    Hello | Acquire | Prepare | Offer | Probe | Examine | Canary | TryGl | Rehearse
    | Warm | Capture | Encode | Cancel | Trim | Allow | Ack | Clean | Ping | Bye
)  # fmt: skip
FromAgent = (
    Facts | Granted | Denied | Missing | Prepared | Probed | Examined | Canaried | GlTried | Loaded
    | Cleaned | Rehearsed | Started | Resized | Captured | Encoded | Unencoded | Seam | Trimmed | Done | Failed | Note
    | Pong | Stopping
)  # fmt: skip
ToWorker = Setup | Open | Block
FromWorker = Ready | Stepped | SeamDrawn | FrameWritten | Misjudged | BlockDone | BlockFailed | Note
Message = ToAgent | FromAgent | ToWorker | FromWorker

_KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (
        Hello, Acquire, Prepare, Offer, Probe, Examine, Canary, TryGl, Rehearse,
        Warm, Capture, Encode, Cancel, Trim, Allow, Ack, Clean, Ping, Bye,
        Facts, Granted, Denied, Missing, Prepared, Probed, Examined, Canaried, GlTried, Loaded, Cleaned, Rehearsed,
        Started, Resized, Captured, Encoded, Unencoded, Seam, Trimmed, Done, Failed, Note, Pong, Stopping,
        Setup, Open, Block, Ready, Stepped, SeamDrawn, FrameWritten, Misjudged, BlockDone, BlockFailed,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """One line, newline included."""
    plain = {"t": type(message).__name__.lower(), **wire.to_plain(message)}
    line = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"{plain['t']}: message of {len(line)} bytes is over the limit of {LINE_LIMIT_BYTES}")
    return line


def decode(line: bytes) -> Message:
    """The message on one line; ProtocolError on anything else, with the start of what came instead."""
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"line of {len(line)} bytes is over the limit of {LINE_LIMIT_BYTES}")
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a JSON line: {line[:80]!r}") from error
    kind = _KINDS.get(str(plain.pop("t", None))) if isinstance(plain, dict) else None
    if kind is None:
        raise ProtocolError(f"not a message: {line[:80]!r}")
    try:
        return wire.from_plain(kind, plain)
    except wire.WireError as error:
        raise ProtocolError(str(error)) from error
