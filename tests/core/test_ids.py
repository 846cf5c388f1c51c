import time
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veza.core.ids import first_id_since, new_id, provider_id, row_id

keys = st.uuids()


def test_a_key_is_a_version_7_uuid_of_the_rfc_variant():
    key = new_id()

    assert key.version == 7
    assert key.variant == "specified in RFC 4122"


def test_a_key_begins_with_the_milliseconds_it_was_made_at():
    before = time.time_ns() // 1_000_000
    key = new_id()

    assert before <= key.int >> 80 <= time.time_ns() // 1_000_000


def test_keys_made_later_sort_later():
    first = new_id()
    time.sleep(0.002)

    assert first < new_id()


def test_the_keys_of_rows_made_within_a_time_begin_at_one_key():
    key = new_id()

    assert first_id_since(timedelta(seconds=1)) < key
    assert key < first_id_since(timedelta(seconds=-1))


def test_keys_made_at_once_differ():
    assert len({new_id() for _ in range(1000)}) == 1000


@given(keys)
def test_a_provider_id_has_thirty_characters_and_leads_back_to_its_row(key):
    text = provider_id("pay", key)

    assert len(text) == 30
    assert row_id("pay", text) == key


@given(keys, keys)
def test_provider_ids_sort_like_their_rows(one, other):
    assert (provider_id("ref", one) < provider_id("ref", other)) == (one < other)


@given(st.one_of(st.none(), st.integers(), st.text(max_size=40), st.binary(max_size=30)))
def test_what_we_did_not_write_leads_to_no_row(garbage):
    assert row_id("pay", garbage) is None


def test_an_id_of_another_kind_leads_to_no_row():
    assert row_id("pay", provider_id("ref", new_id())) is None


@pytest.mark.parametrize("body", ["Z" * 26, "0" * 25 + "U", "0" * 25 + "i", "0" * 25 + "٣"])
def test_a_body_that_no_row_has_leads_to_no_row(body):
    assert row_id("pay", f"pay_{body}") is None


def test_the_highest_key_is_a_row_and_the_next_is_not():
    assert row_id("pay", "pay_7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == UUID(int=(1 << 128) - 1)
    assert row_id("pay", "pay_8" + "0" * 25) is None
