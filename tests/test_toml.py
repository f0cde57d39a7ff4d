"""Every key of a TOML file is found on its line, whatever the file looks like."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import errors, toml

TEXT = '''\
version = 1            # [not.a.table]
note = """
looks = "like a key"
[neither.a.table]
five quotes"""""
path = '\\['
[defaults]
'''

HOSTS = """\
[[host]]
name = "a"
limits = { workers = 2, memory = "8G" }

[jump."b.c"]
user = "x"
[[host]]
tags = [
  "one", # ] not the end
  "two",
]
env.LANG = "C"
[host.limits]
nice = 1
"""


def test_strings_and_comments_hide_no_key_and_make_none() -> None:
    document = toml.read(TEXT, file="f")
    assert document.lines == {("version",): 1, ("note",): 2, ("path",): 6, ("defaults",): 7}


def test_keys_of_tables_lists_and_inline_tables_have_lines() -> None:
    line = toml.read(HOSTS, file="f").line
    assert line(("host", 0, "limits", "memory")) == 3
    assert line(("jump", "b.c", "user")) == 6
    assert line(("host", 1)) == 7
    assert line(("host", 1, "tags", 1)) == 8
    assert line(("host", 1, "env", "LANG")) == 12
    assert line(("host", 1, "limits", "nice")) == 14
    assert line(("nowhere",)) == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [("a = 1\nb = \n", "f:2: "), ("a = 1\na = 2\n", "f:2: "), ("a = [1,\n2", "f:2: "), ("[" * 5000, "f:1: ")],
)
def test_what_is_not_toml_names_its_line(text: str, where: str) -> None:
    with pytest.raises(errors.ConfigError, match=where):
        toml.read(text, file="f")


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8)
_scalars = st.integers() | st.booleans() | _text
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
_tables = st.dictionaries(_text, _values, max_size=4)


@given(st.lists(st.tuples(_text, st.booleans(), _tables), max_size=5, unique_by=lambda each: each[0]))
def test_every_key_written_is_found_where_it_was_written(tables: list[tuple[str, bool, dict[str, Any]]]) -> None:
    rows: list[str] = []
    expected: dict[toml.Path, int] = {}
    for name, is_array, table in tables:
        quoted, inside = json.dumps(name, ensure_ascii=False), (name, 0) if is_array else (name,)
        rows.append(f"[[{quoted}]]" if is_array else f"[ {quoted} ] # ]")
        expected[inside] = len(rows)
        for key, value in table.items():
            rows.append(f"{json.dumps(key, ensure_ascii=False)} = {json.dumps(value, ensure_ascii=False)}")
            expected[*inside, key] = len(rows)
    document = toml.read("\n".join(rows), file="f")
    assert {path: document.line(path) for path in expected} == expected
