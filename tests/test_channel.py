"""The agent's wire: bounded in every direction, and it says when nobody reads."""

import os
import threading
from collections.abc import Iterator

import pytest

from capture import channel, protocol
from capture.channel import Incoming, NoteBudget, Outbox
from capture.protocol import Note, Pong, ProtocolError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; a test may close them itself."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def sent(reader: int) -> list[protocol.Message]:
    with os.fdopen(os.dup(reader), "rb") as file:
        return [protocol.decode(line) for line in file]


def test_messages_arrive_in_order_and_closing_writes_the_rest(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outbox = Outbox(writer, pytest.fail)
    for number in range(50):
        outbox.send(Pong(number))
    outbox.close(5.0)
    os.close(writer)
    assert sent(reader) == [Pong(number) for number in range(50)]


def test_notes_above_their_rate_are_counted_instead() -> None:
    budget = NoteBudget()
    admitted = [budget.admit(Note("info", "page", f"{number}" + "x" * 5000), 100.5) for number in range(50)]
    kept = [note for note in admitted if note]
    assert len(kept) == channel.NOTES_PER_S
    assert max(len(note.text) for note in kept) == 2000
    later = Note("info", "page", "later")
    assert budget.admit(later, 101.5) == Note("info", "page", "later (30 notes before this one were left out)")
    assert budget.admit(later, 101.6) == later


def test_a_coordinator_that_does_not_read_is_noticed_without_waiting(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    reasons: list[str] = []
    outbox = Outbox(writer, reasons.append)
    for number in range(10_000):
        outbox.send(Pong(number))
        if reasons:
            break
    assert reasons == ["the coordinator does not read"]
    assert outbox.is_congested
    os.close(pipe[0])


def test_a_coordinator_that_is_gone_is_noticed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    gone = threading.Event()
    outbox = Outbox(writer, lambda _: gone.set())
    os.close(reader)
    outbox.send(Pong(1))
    assert gone.wait(5.0)
    outbox.close(0.1)


def test_a_cut_off_last_line_is_none(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"one\ntw")
    os.write(writer, b"o\nthr")
    os.close(writer)
    assert list(Incoming(reader).lines()) == [b"one", b"two"]


def test_an_endless_line_is_refused(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    thread = threading.Thread(target=lambda: os.write(writer, b"x" * (protocol.LINE_LIMIT_BYTES + 70_000)))
    thread.start()
    with pytest.raises(ProtocolError, match="line of more than"):
        list(Incoming(reader).lines())
    os.read(reader, 1 << 20)
    thread.join(5)
