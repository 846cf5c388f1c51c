"""A setting that cannot be read stops the start, and the sentence names the setting, its value and what to write."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from veza.core.money import parse_amounts
from veza.settings import amounts, duration


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("EUR:50", {"EUR": 50}),
        (" eur:50, USD:0 ", {"EUR": 50, "USD": 0}),
        ("HUF:17500,JPY:50", {"HUF": 17_500, "JPY": 50}),
        ("off", {}),
    ],
)
def test_amounts_are_minor_units_by_currency(text, read):
    assert parse_amounts(text) == read


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not an amount of a currency: write minor units after its code"),
        ("50", "'50' is not an amount"),
        ("EUR", "'EUR' is not an amount"),
        ("EUR:0.50", "'EUR:0.50' is not an amount"),
        ("EUR:-50", "'EUR:-50' is not an amount"),
        ("EUR=50", "'EUR=50' is not an amount"),
        ("EUR:50,", "'' is not an amount"),
        ("EUR:\u0665\u0660", "is not an amount"),
        ("EUR:50,EUX:50", "EUX is not a currency of ISO 4217"),
        ("XAU:1", "XAU is not a currency"),
        ("EUR:50,eur:60", "EUR has two amounts: write one"),
    ],
)
@pytest.mark.parametrize("name", ["OFFER_MIN_PRICE", "ORDER_MIN_TOTAL"])
def test_amounts_that_cannot_be_read_are_refused_with_a_sentence(monkeypatch, name, text, why):
    monkeypatch.setenv(name, text)

    with pytest.raises(ImproperlyConfigured, match=f"^{name}: .*{why}"):
        amounts(name, "EUR:50")


def test_a_duration_that_cannot_be_read_names_its_setting(monkeypatch):
    monkeypatch.setenv("ORDER_SESSION", "an hour")

    with pytest.raises(ImproperlyConfigured, match=r"^ORDER_SESSION: 'an hour' is not a duration"):
        duration("ORDER_SESSION", "1h")
