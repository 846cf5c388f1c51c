"""The bodies with which sellers list and change their works: every text and mapping has a shape and a size."""

import json
import re
import unicodedata
from typing import Any

from django.conf import settings
from rest_framework import serializers

from marketplace.models import LicenseKind
from veza.core.api.inputs import Input

MOST_MINOR = 100_000_000
LONGEST_TITLE, LONGEST_DESCRIPTION = 120, 5_000
MOST_RIGHTS, MOST_IN_A_LIST, LONGEST_WORDS = 20, 20, 200
MOST_RIGHTS_CHARACTERS = 2_000
_RIGHT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_NUMBER = 1_000_000_000
# Control characters, separators of lines and paragraphs, halves of characters; and those that turn a text around.
_UNPRINTABLE = {"Cc", "Zl", "Zp", "Cs"}
_DIRECTIONS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_printable(text: str, *, allowed: str = "") -> bool:
    """Whether every character of `text` can be shown in a line of text, or is one of `allowed`."""
    return all(
        char in allowed or (unicodedata.category(char) not in _UNPRINTABLE and char not in _DIRECTIONS) for char in text
    )


def _check_title(text: str) -> None:
    if not is_printable(text):
        raise serializers.ValidationError(
            "A title is one line of text, without control characters.", code="unprintable"
        )


def _check_description(text: str) -> None:
    if not is_printable(text, allowed="\n\r\t"):
        raise serializers.ValidationError("A description has no control characters.", code="unprintable")


class RightsField(serializers.DictField):
    """What a licence allows, as a flat mapping: `{"copies": 1, "print": true, "media": ["web", "print"]}`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        rights: dict[str, Any] = super().to_internal_value(data)
        if len(rights) > MOST_RIGHTS:
            self._refuse(f"At most {MOST_RIGHTS} rights; these are {len(rights)}.")
        for name, value in rights.items():
            if not _RIGHT.fullmatch(name):
                self._refuse(
                    f"A right is named by up to 40 of a-z, 0-9 and _, beginning with one of a-z; {name[:60]!r} is not."
                )
            if not (_is_single(value) or _is_list(value)):
                self._refuse(
                    f"The right {name!r} is true, false, a whole number, a text of up to {LONGEST_WORDS} characters, "
                    f"or a list of up to {MOST_IN_A_LIST} of them."
                )
        if len(json.dumps(rights, ensure_ascii=False)) > MOST_RIGHTS_CHARACTERS:
            self._refuse(f"All rights together are at most {MOST_RIGHTS_CHARACTERS} characters.")
        return rights

    def _refuse(self, message: str) -> None:
        raise serializers.ValidationError(message, code="bad_rights")


def _is_single(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_WORDS and is_printable(value)
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _MOST_NUMBER)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_IN_A_LIST and all(map(_is_single, value))


class OfferInput(Input):
    license = serializers.ChoiceField(choices=LicenseKind.choices)
    price_minor = serializers.IntegerField(min_value=0, max_value=MOST_MINOR)
    currency = serializers.ChoiceField(choices=settings.CURRENCIES)
    tax_basis_points = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    rights = RightsField(default=dict)
    once_per_buyer = serializers.BooleanField(
        allow_null=True,
        required=False,
        help_text="Whether one is all that a buyer needs. Null: yes, unless it is commercial.",
    )


class OfferChange(Input):
    """Omitted fields keep their value; a new offer needs a price and a currency."""

    license = serializers.ChoiceField(choices=LicenseKind.choices)
    price_minor = serializers.IntegerField(min_value=0, max_value=MOST_MINOR, required=False)
    currency = serializers.ChoiceField(choices=settings.CURRENCIES, required=False)
    tax_basis_points = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    rights = RightsField(required=False)
    once_per_buyer = serializers.BooleanField(allow_null=True, required=False)
    active = serializers.BooleanField(required=False, help_text="False: the licence is not sold any more.")


def _refuse_repeated(offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = [offer["license"] for offer in offers]
    if repeated := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise serializers.ValidationError(f"Each licence once: {', '.join(repeated)} is repeated.", code="repeated")
    return offers


class ProductInput(Input):
    title = serializers.CharField(max_length=LONGEST_TITLE, validators=[_check_title])
    description = serializers.CharField(
        max_length=LONGEST_DESCRIPTION, allow_blank=True, default="", validators=[_check_description]
    )
    offers = OfferInput(many=True, allow_empty=False, max_length=3)  # type: ignore[call-arg]  # ListSerializer has it.

    def validate_offers(self, offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _refuse_repeated(offers)


class ProductChanges(Input):
    title = serializers.CharField(max_length=LONGEST_TITLE, required=False, validators=[_check_title])
    description = serializers.CharField(
        max_length=LONGEST_DESCRIPTION, allow_blank=True, required=False, validators=[_check_description]
    )
    published = serializers.BooleanField(required=False)
    offers = OfferChange(many=True, required=False, max_length=3)  # type: ignore[call-arg]  # ListSerializer has it.

    def validate_offers(self, offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _refuse_repeated(offers)
