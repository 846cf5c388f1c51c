"""A link in a page leads to a file that is there."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT, project_files

FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")


def links_in(text: str) -> list[str]:
    """The targets of all relative links; examples in code are no links."""
    targets = LINK.findall(CODE.sub("code", FENCED.sub("", text)))
    return [link for link in targets if not urlsplit(link).scheme and not link.startswith(("#", "//"))]


def broken(page: Path) -> list[str]:
    return [link for link in links_in(page.read_text()) if not (page.parent / unquote(urlsplit(link).path)).exists()]


def test_every_relative_link_leads_to_a_file():
    pages = [path for path in project_files() if path.suffix == ".md"]

    broken_links = {page.relative_to(ROOT).as_posix(): links for page in pages if (links := broken(page))}

    assert broken_links == {}


def test_no_link_leaves_the_project():
    pages = [path for path in project_files() if path.suffix == ".md"]

    away = [
        f"{page.relative_to(ROOT).as_posix()}: {link}"
        for page in pages
        for link in links_in(page.read_text())
        if not (page.parent / unquote(urlsplit(link).path)).resolve().is_relative_to(ROOT)
    ]

    assert away == []


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see [a](b.md#part), ![c](d.png) and [`e.py`](../e.py)", ["b.md#part", "d.png", "../e.py"]),
        ("[a](https://example.org/b), [c](#d), `[e](f)`", []),
        ("```\n[a](b)\n```\n[c](d)", ["d"]),
    ],
)
def test_links_are_told_from_examples(text, links):
    assert links_in(text) == links


def test_every_decision_is_listed():
    index = (ROOT / "docs" / "README.md").read_text()
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert decisions
    assert [page.name for page in decisions if f"(decisions/{page.name})" not in index] == []


def test_a_decision_fits_on_a_page():
    long = [page.name for page in (ROOT / "docs" / "decisions").glob("*.md") if len(page.read_text().splitlines()) > 45]

    assert long == []
