"""What others say becomes one harmless line, and what they should not have said is taken out of it."""

import unicodedata

import pytest
from hostile_agent import POISON
from hypothesis import given
from hypothesis import strategies as st

from capture import protocol
from capture.faults import Fault, FaultCode
from fleet import untrusted

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaCANARY\n-----END OPENSSH PRIVATE KEY-----"


def harmful(text: str) -> bool:
    return any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text)


@given(st.text())
def test_clean_text_is_one_line_that_commands_nothing(text: str) -> None:
    shown = untrusted.clean(POISON + text)
    assert not harmful(shown)
    assert len(shown) <= untrusted.TEXT_MAX


@given(st.text())
def test_a_paragraph_has_one_line_at_the_margin(text: str) -> None:
    lines = untrusted.paragraph(f"first\n{text}").split("\n")
    assert all(line.startswith("  ") for line in lines[1:])
    assert not any(map(harmful, lines))


def test_a_message_is_cleaned_however_deep() -> None:
    fault = Fault(code=FaultCode.DISK_FULL, message=POISON, console=(POISON, "x" * 9000))
    cleaned = untrusted.cleaned(protocol.Failed("c1", 1, fault))
    assert (cleaned.chunk, cleaned.attempt, cleaned.fault.code) == ("c1", 1, FaultCode.DISK_FULL)
    assert not any(map(harmful, (cleaned.fault.message, *cleaned.fault.console)))
    assert max(map(len, cleaned.fault.console)) == untrusted.FIELD_MAX


def test_two_blanks_in_a_path_stay_two() -> None:
    assert untrusted.cleaned(protocol.Stopping("/srv/two  blanks")).reason == "/srv/two  blanks"


@pytest.mark.parametrize(
    "said",
    [
        "GET https://user:CANARY@example.com/a.png failed",
        "https://CANARY@example.com/",
        "https://example.com/a?x=1&token=CANARY&y=2",
        "https://example.com/a?X-Amz-Signature=CANARY",
        "https://example.com/a?api_key=CANARY",
        "https://example.com/a?apikey=CANARY#top",
        "password=CANARY",
        "MY_DB_PASSWORD='CANARY'",
        '{"access_token": "CANARY"}',
        "Authorization: Bearer CANARY",
        "Proxy-Authorization: Basic CANARY",
        "set-cookie: CANARY",
        KEY,
        KEY[:50],
    ],
)
def test_secrets_are_taken_out(said: str) -> None:
    assert "CANARY" not in untrusted.redact(f"before {said} after")
    assert untrusted.redact(f"before {said}").startswith("before ")


@pytest.mark.parametrize(
    "said",
    [
        "uncaught: SyntaxError: Unexpected token: ) (https://composition.invalid/index.html:7)",
        "https://example.com/a.png?width=10&t=3",
        "ssh render@10.0.0.11 refused",
        "frames 0:30, sha256 is 66301356081a",
        "the key of r1 is ssh-ed25519 SHA256:abc=",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert untrusted.redact(said) == said
