"""The DevTools pipe with a peer that answers late, in pieces, wrongly or never."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from capture import cbor, cdp

SOON_S = 0.2


class Peer:
    """The browser's end of the pipe."""

    def __init__(self) -> None:
        command_read, command_write = os.pipe()
        reply_read, reply_write = os.pipe()
        self.connection = cdp.Connection(read_fd=reply_read, write_fd=command_write)
        self._commands = os.fdopen(command_read, "rb")
        self._replies = os.fdopen(reply_write, "wb", buffering=0)
        self._unread = b""

    def say(self, *messages: dict[str, Any]) -> None:
        self._replies.write(b"".join(map(cbor.encode, messages)))

    def say_bytes(self, data: bytes) -> None:
        self._replies.write(data)

    def hear(self) -> dict[str, Any]:
        while not 0 < (size := cbor.size(self._unread)) <= len(self._unread):
            self._unread += os.read(self._commands.fileno(), 1 << 16)
        message: dict[str, Any] = cbor.decode(self._unread[:size])
        self._unread = self._unread[size:]
        return message

    def leave(self) -> None:
        for end in (self._commands, self._replies):
            end.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    found = Peer()
    yield found
    found.connection.close()
    found.leave()


def test_replies_are_matched_to_their_commands_in_any_order(peer: Peer) -> None:
    first = peer.connection.send("A.one", {"x": 1})
    second = peer.connection.send("B.two", session="s")
    assert peer.hear() == {"id": first, "method": "A.one", "params": {"x": 1}}
    assert peer.hear() == {"id": second, "method": "B.two", "params": {}, "sessionId": "s"}
    peer.say({"id": second, "result": {"y": 2}}, {"id": first, "result": {"x": 1}})
    deadline = time.monotonic() + 5
    assert peer.connection.reply(first, deadline) == {"x": 1}
    assert peer.connection.reply(second, deadline) == {"y": 2}


def test_a_command_can_be_sent_while_another_is_awaited(peer: Peer) -> None:
    slow = peer.connection.send("Slow.seek")
    assert peer.connection.reply_within(slow, 0.01) is None
    peer.say({"id": slow + 1, "result": {"drawn": True}})
    assert peer.connection.call("Quick.draw", timeout_s=5) == {"drawn": True}
    peer.say({"id": slow, "result": {}})
    assert peer.connection.reply(slow, time.monotonic() + 5) == {}


def test_events_reach_their_handler_while_a_reply_is_awaited_and_a_handler_may_answer(peer: Peer) -> None:
    heard: list[tuple[cdp.Params, str | None]] = []

    def dismiss(params: cdp.Params, session: str | None) -> None:
        heard.append((params, session))
        peer.connection.notify("Page.dismiss", {}, session)

    peer.connection.on("Page.opened", dismiss)
    peer.say({"method": "Page.opened", "params": {"n": 1}, "sessionId": "s"}, {"method": "Page.unknown"})
    peer.say({"id": 1, "result": {}})
    assert peer.connection.call("Page.enable", timeout_s=5) == {}
    assert heard == [({"n": 1}, "s")]
    assert peer.hear()["method"] == "Page.enable"
    assert peer.hear() == {"id": 2, "method": "Page.dismiss", "params": {}, "sessionId": "s"}


def test_silence_ends_at_the_deadline_with_the_commands_name(peer: Peer) -> None:
    with pytest.raises(cdp.TimedOut, match=r"Page\.navigate"):
        peer.connection.call("Page.navigate", timeout_s=SOON_S)


def test_events_do_not_extend_a_deadline(peer: Peer) -> None:
    is_over = threading.Event()

    def chatter() -> None:
        while not is_over.wait(0.01):
            peer.say({"method": "Console.noise"})

    noise = threading.Thread(target=chatter)
    noise.start()
    try:
        with pytest.raises(cdp.TimedOut):
            peer.connection.call("Page.navigate", timeout_s=SOON_S)
    finally:
        is_over.set()
        noise.join()


def test_a_browser_that_leaves_is_noticed_when_reading_and_when_writing(peer: Peer) -> None:
    waiting = peer.connection.send("Page.navigate")
    peer.leave()
    with pytest.raises(cdp.Closed):
        peer.connection.reply(waiting, time.monotonic() + 5)
    with pytest.raises(cdp.Closed):
        peer.connection.send("Page.navigate")


def test_a_refusal_names_the_command(peer: Peer) -> None:
    peer.say({"id": 1, "error": {"code": -32000, "message": "Another frame is pending"}})
    with pytest.raises(cdp.Refused, match=r"X\.beginFrame: Another frame is pending"):
        peer.connection.call("X.beginFrame", timeout_s=5)


def test_a_large_message_arrives_in_pieces_with_its_neighbours(peer: Peer) -> None:
    first = peer.connection.send("A.picture")
    second = peer.connection.send("A.next")
    data = b"x" * 3_000_000
    answers = b"".join(
        cbor.encode({"id": number, "result": {"data": picture}}) for number, picture in ((first, data), (second, b"y"))
    )
    writer = threading.Thread(target=peer.say_bytes, args=(answers,))
    writer.start()
    assert peer.connection.reply(first, time.monotonic() + 20) == {"data": data}
    assert peer.connection.reply(second, time.monotonic() + 20) == {"data": b"y"}
    writer.join()


@pytest.mark.parametrize(
    ("said", "words"),
    [(b'{"id":1,"result":{}}\0', "no message begins"), (b"\xd8\x18\x5a\xff\xff\xff\xff", "exceeds")],
)
def test_a_browser_that_speaks_otherwise_or_without_end_is_left(peer: Peer, said: bytes, words: str) -> None:
    peer.say_bytes(said)
    with pytest.raises(cdp.Closed, match=words):
        peer.connection.call("Browser.getVersion", timeout_s=5)


def test_a_browser_that_reads_nothing_does_not_block_us_for_ever(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdp, "SEND_TIMEOUT_S", SOON_S)
    with pytest.raises(cdp.TimedOut, match="taken no byte"):
        peer.connection.send("Fetch.fulfillRequest", {"body": b"x" * 1_000_000})


def test_a_watched_file_is_served_while_a_reply_is_awaited(peer: Peer) -> None:
    read, write = os.pipe()
    seen: list[bytes] = []
    peer.connection.watch(read, lambda: seen.append(os.read(read, 100)))
    os.write(write, b"hello")
    with pytest.raises(cdp.TimedOut):
        peer.connection.call("Page.navigate", timeout_s=SOON_S)
    assert seen == [b"hello"]
    os.close(read)
    os.close(write)
