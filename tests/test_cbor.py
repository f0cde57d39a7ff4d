"""CBOR as DevTools speaks it: what is said arrives, and what is no message is refused, whatever it is."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import cbor

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20
)
MESSAGES = st.dictionaries(st.text(), VALUES, max_size=5)

# {"id":1,"result":{"n":-2,"on":true,"x":1.5,"s":"é","w":"ż" (in UTF-16),"d":<0 1>,"l":[null]}}, as Chromium writes it.
SPOKEN = bytes.fromhex(
    "d8185a0000004d"
    "bf 626964 01 66726573756c74"
    "d8185a00000038"
    "bf 616e 21 626f6e f5 6178 fb3ff8000000000000 6173 62c3a9 6177 427c01 6164 d6420001"
    "616c d8185a00000003 9ff6ff ff ff"
)
SAID = {"id": 1, "result": {"n": -2, "on": True, "x": 1.5, "s": "é", "w": "ż", "d": b"\0\1", "l": [None]}}


def test_what_chromium_says_is_understood() -> None:
    assert cbor.decode(SPOKEN) == SAID


def test_what_we_say_is_in_envelopes_with_their_lengths() -> None:
    said = cbor.encode({"id": 24, "params": {}})
    assert said.hex(" ") == "d8 18 5a 00 00 00 17 bf 62 69 64 18 18 66 70 61 72 61 6d 73 d8 18 5a 00 00 00 02 bf ff ff"
    assert cbor.size(said) == len(said)


@given(MESSAGES)
def test_what_is_said_arrives(message: dict[str, Any]) -> None:
    assert cbor.decode(cbor.encode(message)) == message


@given(st.floats(), st.integers(2**31, 2**53) | st.integers(-(2**53), -(2**31) - 1))
def test_numbers_are_what_they_would_be_in_json(number: float, large: int) -> None:
    found = cbor.decode(cbor.encode({"n": number, "large": large}))
    assert found["n"] == number or math.isnan(number)
    assert isinstance(found["n"], int) is (number.is_integer() and abs(number) <= 2**53)
    assert found["large"] == large
    assert isinstance(found["large"], int)


@pytest.mark.parametrize("text", ["", "x" * 23, "x" * 24, "x" * 256, "x" * 70_000, "\0", "\ud83d", "😀\udc00"])
def test_text_of_every_length_and_kind_arrives(text: str) -> None:
    assert cbor.decode(cbor.encode({"text": text, "data": text.encode(errors="replace")}))["text"] == text


@given(MESSAGES, st.data())
def test_a_size_is_known_from_the_first_bytes_on(message: dict[str, Any], data: st.DataObject) -> None:
    said = cbor.encode(message)
    cut = data.draw(st.integers(0, len(said)))
    assert cbor.size(said[:cut]) == (len(said) if cut >= cbor.HEADER_BYTES else 0)
    if cut < len(said):
        with pytest.raises(cbor.Malformed):
            cbor.decode(said[:cut])


@given(st.binary(), MESSAGES, st.data())
def test_nothing_but_a_message_is_taken_for_one(noise: bytes, message: dict[str, Any], data: st.DataObject) -> None:
    said = cbor.encode(message)
    at = data.draw(st.integers(0, len(said)))
    for spoilt in (noise, said[:at] + noise, said[:at] + noise + said[at + len(noise) :]):
        try:
            cbor.decode(spoilt)
        except cbor.Malformed:
            continue


@pytest.mark.parametrize("said", [b'{"id":1}\0', b"\xd8\x5a\0\0", b"\xbf\xff", b"\0"])
def test_what_is_no_message_is_refused_at_its_first_bytes(said: bytes) -> None:
    with pytest.raises(cbor.Malformed, match="no message begins"):
        cbor.size(said)


def test_lists_in_lists_end_somewhere() -> None:
    deep: Any = {}
    for _ in range(cbor.DEPTH_MAX // 2 - 1):
        deep = {"deep": [deep]}
    assert cbor.decode(cbor.encode(deep)) == deep
    body = b"\x9f" * 100_000 + b"\xff" * 100_000
    with pytest.raises(cbor.Malformed, match="deep"):
        cbor.decode(b"\xd8\x18\x5a" + struct.pack(">I", len(body)) + body)


def test_a_value_that_devtools_has_not_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError, match="set"):
        cbor.encode({"x": {1}})
