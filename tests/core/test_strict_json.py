import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veza.core.strict_json import strict_json

plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)

DOUBTFUL = {
    "bad UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a key twice": b'{"amount": 1, "amount": 100}',
    "a key twice, deep inside": b'{"a": [{"b": 1, "b": 1}]}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number that overflows": b'{"a": 1e999}',
    "five thousand digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a NUL": b'{"a": "\\u0000"}',
    "a NUL in a key": b'{"\\u0000": 1}',
    "half a character": b'{"a": "\\ud800"}',
    "sixty thousand brackets": b"[" * 60_000,
    "deep nesting": b"[" * 300 + b"]" * 300,
    "half a body": b'{"a": ',
    "nothing": b"",
    "two values": b"{} {}",
}


@pytest.mark.parametrize("raw", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_a_doubtful_body_is_refused_with_a_sentence(raw):
    with pytest.raises(ValueError, match=r"^The body .*\.$"):
        strict_json(raw)


@given(values)
def test_every_sound_value_is_read_as_it_was_written(value):
    assert strict_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_end_in_a_value_or_a_refusal(raw):
    with contextlib.suppress(ValueError):
        strict_json(raw)


def test_true_stays_a_boolean_and_is_not_one():
    assert strict_json(b'{"amount": true}') == {"amount": True}
    assert type(strict_json(b"true")) is bool
