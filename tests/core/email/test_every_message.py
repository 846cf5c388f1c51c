"""Every message in every language: its sample is complete, and says the same as text and as HTML."""

import re

import pytest

from veza.core.email.messages import all_messages
from veza.core.email_admin import sample_of
from veza.core.models import Language

MESSAGES = all_messages()
in_every_language = pytest.mark.parametrize("language", Language.values)
every_message = pytest.mark.parametrize("message", MESSAGES, ids=[message.name for message in MESSAGES])


@every_message
@in_every_language
def test_a_message_is_whole(message, language):
    rendered = sample_of(message, language)

    for text in (rendered.subject_line, rendered.text, rendered.html):
        assert text.strip()
        assert not re.search(r"%\(|\bNone\b|\{\{|  +\S+: *$", text)
    assert f'lang="{language}"' in rendered.html


@every_message
@in_every_language
def test_a_message_loads_nothing(message, language):
    html = sample_of(message, language).html

    assert not re.search(r"<img|<script|<link|url\(|@import|\bsrc=", html)


@every_message
def test_a_message_is_in_the_language_of_its_reader(message):
    english, french = (sample_of(message, language) for language in ("en", "fr"))

    assert english.subject_line != french.subject_line
    assert not set(lines_of(english.text)) & set(lines_of(french.text)) - set(NAMES)


# What has no language: the names of works, plans, people and senders.
NAMES = ("Ink Study No. 4", "Harbour at Dawn", "Studio")


def lines_of(text: str) -> list[str]:
    """The lines that are words: an amount or a link may be the same in both."""
    return [line for line in map(str.strip, text.splitlines()) if re.search(r"[a-z]{4} [a-z]{2}", line)]


def test_every_message_says_when_it_is_sent():
    assert all(message.when.endswith((".", "REVIEW_DIGEST_ADDRESS.")) for message in MESSAGES)


def test_what_the_law_or_money_requires_cannot_be_unsubscribed_from():
    assert {message.name for message in MESSAGES if message.optional} == {"sale", "transfer_sent", "payout_sent"}
