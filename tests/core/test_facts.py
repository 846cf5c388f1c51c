"""A fact and everything that follows from it: together, in order, or not at all."""

import inspect

import pytest
from django.db import transaction
from django.utils import timezone

from veza.core import facts
from veza.core.causes import Cause
from veza.core.models import PlatformSetting
from veza.reactions import REACTIONS

BY_TEST = Cause("command")


def announce(fact: str, subject: object = "subject") -> None:
    facts.announce(fact, subject, cause=BY_TEST, at=timezone.now())


def on_page(monkeypatch, **page) -> None:
    monkeypatch.setattr(facts, "reactions", lambda: page)


def remember(name: str):
    def react(subject, /, *, cause, at):
        PlatformSetting.objects.create(name=name, value=subject)

    return react


def break_off(subject, /, *, cause, at):
    raise RuntimeError(subject)


@pytest.mark.django_db
def test_reactions_run_in_the_order_of_the_page_with_what_was_announced(monkeypatch):
    heard = []
    on_page(
        monkeypatch,
        paid=[lambda *given, **named: heard.append(("first", given, named["cause"])), remember("second")],
    )

    announce("paid")

    assert heard == [("first", ("subject",), BY_TEST)]
    assert PlatformSetting.objects.get().value == "subject"


@pytest.mark.django_db(transaction=True)
def test_a_reaction_that_fails_takes_the_fact_and_the_other_reactions_with_it(monkeypatch):
    on_page(monkeypatch, paid=[remember("first"), break_off])

    @transaction.atomic
    def pay():
        PlatformSetting.objects.create(name="the fact", value=1)
        announce("paid")

    with pytest.raises(RuntimeError):
        pay()

    assert not PlatformSetting.objects.exists()


@pytest.mark.django_db
def test_a_fact_that_is_not_on_the_page_is_an_error(monkeypatch):
    on_page(monkeypatch, paid=[])

    with pytest.raises(facts.UnknownFact, match="payed"):
        announce("payed")


@pytest.mark.django_db
def test_nobody_has_to_listen(monkeypatch):
    on_page(monkeypatch, paid=[])

    announce("paid")


@pytest.mark.django_db(transaction=True)
def test_a_fact_is_announced_in_the_transaction_that_makes_it_true(monkeypatch):
    on_page(monkeypatch, paid=[])

    with pytest.raises(AssertionError, match="transaction"):
        announce("paid")


def test_a_name_that_leads_nowhere_is_an_error(monkeypatch):
    monkeypatch.setattr("veza.reactions.REACTIONS", {"paid": ["payments.nowhere.react"]})

    with pytest.raises(ImportError):
        facts.reactions.__wrapped__()


@pytest.mark.parametrize("fact", sorted(REACTIONS))
def test_every_name_on_the_page_leads_to_a_reaction(fact):
    for react in facts.reactions()[fact]:
        parameters = list(inspect.signature(react).parameters.values())
        subject, *named = parameters
        assert subject.kind in {subject.POSITIONAL_ONLY, subject.POSITIONAL_OR_KEYWORD}, react
        assert [(one.name, one.kind) for one in named] == [
            ("cause", inspect.Parameter.KEYWORD_ONLY),
            ("at", inspect.Parameter.KEYWORD_ONLY),
        ], react
