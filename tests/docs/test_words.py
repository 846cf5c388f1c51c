"""Prose and names use the field's words. The glossary says what each means; this says which words it replaced."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, source_files

APPS = ["veza", "payments", "connect", "marketplace", "subscriptions", "acceptance", "probe", "sandbox", "dev"]
# fmt: off
PAGES = [
    "templates", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "compose.yaml", "Makefile", ".env.example",
]
# fmt: on
# A word that is out, and what is written in its place.
REPLACED = {
    r"nobody|somebody|anybody|everybody|a person": "the actor: support, the buyer, the worker, Stripe",
    r"anew": "again",
    r"of it (tax|lost|undone|refunded|in suspense|is owed)": "the thing itself, or incl.",
    r"(take|takes|taken|taking|took)( \w+)? back": "reverse, recover, return",
    r"(adopt|adopts|adopted|adopting|adoption)": "import, external",
    r"(turn|turns|turned|turning)( \w+)? away": "reject, authentication rejected",
    r"kept back|keeps back": "withheld, offset",
    r"knock|knocks|knocking": "probe",
    r"forged|forgery|forgeries": "invalid signature",
    r"late money|money that pays for nothing": "unapplied funds",
    r"(give|gives|given|gave|giving) up": "failed, needs review",
    r"stranger|strangers": "unknown profile",
    r"its word|their word": "status, answer",
    r"(take|takes|taken|taking|took) in (a|an|the|it|them)": "import, apply, accept",
    r"news": "update, report",
    r"letter|letters": "e-mail, renewal reminder",
    r"(handle|handles|handled) (it |them )?again": "replay, retry",
    r"mend|mends|mended": "fix",
    r"story|stories": "order history, correlation id",
    r"bounced|bounces": "returned by the bank",
    r"stumble|stumbles|stumbled": "unexpected error",
    r"(press|presses|pressed) the button|pressed “": "perform the action",
    r"made elsewhere|made there": "external",
    r"fails for everybody": "provider is down",
    r"cases? for a person": "review item",
}
ANY = re.compile("|".join(rf"(?<![\w`-])(?:{words})(?![\w`-])" for words in REPLACED), re.IGNORECASE)
# Where a word means what the dictionary says, and not what the dialect made of it.
ALLOWED_PROSE = {
    ("veza/core/ids.py", "letters"),  # Those of the alphabet.
    ("dev/demo_settings.py", "letters"),
    ("veza/checks.py", "forge"),
    ("connect/accounts.py", "letters"),
    ("connect/api/accounts.py", "letters"),
    ("docs/states.md", "bounced"),  # The status: its name stays.
}
# A value is a noun and a function a verb: no bound name is one of these alone.
# fmt: off
PARTICIPLES = frozenset({
    "said", "seen", "asked", "told", "found", "left", "wanted", "known", "written", "done", "taken", "held",
    "owed", "shown", "kept", "refused", "given", "failed", "lost", "made", "chosen", "sent", "named", "tried",
    "got", "gone", "begun", "meant", "offered", "undone", "unasked",
})
# fmt: on
# Stored fields and their counts, whose names stay.
ALLOWED_NAMES = {
    ("veza/core/models.py", "done"),
    ("veza/core/models.py", "failed"),
    ("veza/core/sweeps.py", "done"),
    ("veza/core/sweeps.py", "failed"),
    ("veza/backoffice/verification.py", "failed"),
    ("acceptance/preflight.py", "failed"),  # A key of its JSON.
}


def sentences_in(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings, comments and other texts of a module. A text without a blank is a key, not prose."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def lines_of_page(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page without code, tags and addresses."""
    is_code = False
    if path.name == "glossary.md":
        return  # It names the words that are out, so that a search for one finds the right one.
    for number, line in enumerate(path.read_text().splitlines(), 1):
        is_code ^= line.lstrip().startswith(("```", "~~~"))
        if not is_code:
            yield number, re.sub(r"`[^`]*`|\{[%{].*?[%}]\}|<[^>]+>|\]\([^)]*\)", "", line)


def complaints(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    return [
        f"{name}:{number}: {match[0]}: {line.strip()[:100]}"
        for number, line in lines
        for match in ANY.finditer(line)
        if (name, match[0].lower()) not in ALLOWED_PROSE
    ]


def names_bound_in(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


@pytest.mark.parametrize("folder", APPS)
def test_the_prose_in_the_source_uses_the_fields_words(folder):
    found_in = [line for path in source_files(folder) for line in complaints(path, sentences_in(path))]

    assert found_in == [], "\n".join(found_in)


@pytest.mark.parametrize("page", PAGES)
def test_pages_use_the_fields_words(page):
    root = ROOT / page
    files = [root] if root.is_file() else sorted([*root.rglob("*.md"), *root.rglob("*.html")])
    found_in = [line for path in files for line in complaints(path, lines_of_page(path))]

    assert files
    assert found_in == [], "\n".join(found_in)


@pytest.mark.parametrize("folder", APPS)
def test_no_name_is_a_lone_participle(folder):
    lone = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in source_files(folder)
        for number, name in names_bound_in(path)
        if name.strip("_") in PARTICIPLES and (path.relative_to(ROOT).as_posix(), name) not in ALLOWED_NAMES
    ]

    assert lone == [], "\n".join(lone)


def test_hardly_any_name_ends_like_a_participle():
    names = [name for path in source_files(*APPS) for _number, name in names_bound_in(path)]
    lone = [name for name in names if re.fullmatch(r"_?[a-z]+ed", name)]

    assert len(lone) < len(names) / 100


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Nobody has paid.", ["Nobody"]),
        ("It was taken back by Stripe; it turned us away.", ["taken back", "turned us away"]),
        ("A status such as bounced", ["bounced"]),
        ("the history of itself", []),
        ("a personal licence, because of items", []),
    ],
)
def test_words_are_recognised(line, words):
    assert [match[0] for match in ANY.finditer(line)] == words
