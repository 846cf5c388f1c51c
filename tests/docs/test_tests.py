"""Tests one finds: their names say the behaviour in a line, and no test module borrows from another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

LONGEST_NAME = 70
MODULES = sorted((ROOT / "tests").rglob("test_*.py"))


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_test_module_borrows_from_another(path):
    borrowed = [name for name in modules_imported_by(path) if name.startswith("tests.")]

    assert [name for name in borrowed if name.rpartition(".")[2].startswith("test_") or ".test_" in name] == []
