"""Every text that a buyer or seller reads exists in every language, and the compiled catalogues are those texts."""

import pytest

from dev import translations


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_every_text_is_translated_and_compiled(language):
    assert translations.problems_of(language) == []


def test_a_text_that_is_not_in_the_catalogue_is_noticed(monkeypatch):
    texts = translations.texts_in_code()
    texts.add("Quite new")
    monkeypatch.setattr(translations, "texts_in_code", lambda: texts)

    assert translations.problems_of("fr") == ["fr: not in the catalogue: 'Quite new'"]


def test_a_mark_that_may_begin_a_line_is_noticed(monkeypatch):
    catalog = translations._read("fr")
    catalog["Order"].string = "Commande : oui"
    monkeypatch.setattr(translations, "_read", lambda language: catalog)

    assert "fr: a no-break space is missing: 'Order'" in translations.problems_of("fr")


def test_a_catalogue_that_was_not_compiled_is_noticed(monkeypatch, tmp_path):
    catalog = translations._read("fr")
    catalog["Order"].string = "Autre"
    monkeypatch.setattr(translations, "_read", lambda language: catalog)

    assert translations.problems_of("fr") == ["fr: django.mo is not compiled from django.po"]
