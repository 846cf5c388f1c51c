"""`python -m dev.translations`: bring the catalogues up to date with the texts in the code, and compile them.

Babel does what xgettext and msgfmt do, so that a bare machine needs neither. With `--check` nothing is written: the
exit status is 1 if a text is missing, untranslated, or not compiled.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

from dev.places import ROOT

LANGUAGES = ("fr",)
# Of a catalogue: a real one would change the file with every run.
NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
FLOORS = ("veza", "payments", "subscriptions", "marketplace", "connect")
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_noop": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
}


_LOOSE_MARK = re.compile(r" [:;!?»]|« ")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.translations", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything is missing or stale")
    is_check = parser.parse_args(arguments).check
    problems = [problem for language in LANGUAGES for problem in _bring_up_to_date(language, is_check=is_check)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def po_file(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def problems_of(language: str) -> list[str]:
    """What is wrong with a catalogue: texts that are missing, untranslated or unused, and a stale .mo."""
    template, catalog = texts_in_code(), _read(language)
    ids = {message.id for message in template if message.id}
    problems = [f"{language}: not in the catalogue: {each!r}" for each in sorted(map(str, ids - _ids(catalog)))]
    problems += [f"{language}: not in the code any more: {each!r}" for each in sorted(map(str, _ids(catalog) - ids))]
    problems += [f"{language}: not translated: {message.id!r}" for message in catalog if not _is_translated(message)]
    problems += [f"{language}: a no-break space is missing: {each.id!r}" for each in catalog if _may_break(each)]
    problems += [f"{language}: other placeholders: {message.id!r}" for message in catalog if list(message.check())]
    mo_file = po_file(language).with_suffix(".mo")
    if not mo_file.exists() or _strings(read_mo(io.BytesIO(mo_file.read_bytes()))) != _strings(catalog):
        problems.append(f"{language}: {mo_file.name} is not compiled from {po_file(language).name}")
    return problems


def texts_in_code() -> Catalog:
    """Every text that is marked for translation, in Python and in templates."""
    catalog = Catalog(domain="django", charset="utf-8")
    for path, source in _sources():
        for line, text, comments, context in extract("python", io.BytesIO(source.encode()), KEYWORDS):
            catalog.add(text, locations=[(str(path.relative_to(ROOT)), line)], auto_comments=comments, context=context)
    return catalog


def _sources() -> Iterator[tuple[Path, str]]:
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            yield path, path.read_text()
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.suffix in (".html", ".txt"):
            # Django's own translation of a template into something that looks like Python.
            yield path, templatize(path.read_text(), origin=str(path))


def _bring_up_to_date(language: str, *, is_check: bool) -> list[str]:
    if not is_check:
        catalog = _read(language)
        catalog.update(texts_in_code(), no_fuzzy_matching=True, update_header_comment=False)
        catalog.obsolete.clear()
        _write(language, catalog)
    return problems_of(language)


def _read(language: str) -> Catalog:
    path = po_file(language)
    if not path.exists():
        return Catalog(locale=language, domain="django", charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language, domain="django")


def _write(language: str, catalog: Catalog) -> None:
    po_file(language).parent.mkdir(parents=True, exist_ok=True)
    # Without places and dates: they would change with every line of code.
    catalog.fuzzy = False
    catalog.creation_date = catalog.revision_date = NO_DATE
    catalog.header_comment = f"# Veza's texts in {language}. `python -m dev.translations` brings them up to date."
    with po_file(language).open("wb") as file:
        write_po(file, catalog, no_location=True, sort_output=True, width=0)
    po_file(language).with_suffix(".mo").write_bytes(_compiled(catalog))


def _compiled(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def _strings(catalog: Catalog) -> dict[object, object]:
    return {_hashable(message.id): _hashable(message.string) for message in catalog if message.id}


def _hashable(text: object) -> object:
    return tuple(text) if isinstance(text, list) else text


def _ids(catalog: Catalog) -> set[object]:
    return {message.id for message in catalog if message.id}


def _is_translated(message: Message) -> bool:
    return not message.id or all(_texts(message))


def _may_break(message: Message) -> bool:
    """Whether a mark that French sets apart may come to stand at the beginning of a line."""
    return bool(message.id) and any(_LOOSE_MARK.search(text) for text in _texts(message))


def _texts(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, tuple | list) else [str(message.string)]


if __name__ == "__main__":
    settings.configure()  # templatize reads the charset of templates.
    sys.exit(main())
