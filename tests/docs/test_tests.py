"""Tests one finds: their names say the behaviour in a line, and no test module borrows from another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

LONGEST_NAME = 70
FILES = sorted((ROOT / "tests").rglob("*.py"))
MODULES = [path for path in FILES if path.name.startswith("test_")]


def names_of_tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def modules_imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_name_of_a_test_fits_on_a_line(path):
    assert [name for name in names_of_tests(path) if len(name) > LONGEST_NAME] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_borrows_from_a_test_module(path):
    borrowed = [name for name in modules_imported_by(path) if name.startswith("tests.")]

    assert [name for name in borrowed if name.rpartition(".")[2].startswith("test_") or ".test_" in name] == []
