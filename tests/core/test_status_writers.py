"""Nobody but `core.states.move` writes a status: the source is read for every way around it."""

import ast
import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.docs.pages import source_files

# `file:function` that may, and why.
ALLOWED = {
    "veza/core/states.py:move": "the one place",
    "veza/core/models.py:create_user": "a person has no machine",
}
RAW_UPDATE = re.compile(r"\bUPDATE\b.*\bSET\b[^;]*\bstatus\s*=", re.IGNORECASE | re.DOTALL)


def writes_in(tree: ast.AST, function: str = "") -> Iterator[tuple[int, str, str]]:
    """Line, function and sentence of everything that writes, or could write, a status."""
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if sentence := complaint_about(node):
            yield node.lineno, name, sentence
        yield from writes_in(node, name)


def complaint_about(node: ast.AST) -> str | None:
    match node:
        case ast.Assign() | ast.AugAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets):
                return "assigns to .status"
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="status"), _]):
            return "sets status by name"
        case ast.Call(func=ast.Attribute(attr=verb)):
            return complaint_about_call(verb, node)
        case ast.Constant(value=str(text)) if RAW_UPDATE.search(text):
            return "updates a status in SQL"
    return None


def complaint_about_call(verb: str, call: ast.Call) -> str | None:
    names = {keyword.arg for keyword in call.keywords}
    words = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
    if verb in {"update", "aupdate"} and "status" in names:
        return "updates a status"
    if verb in {"bulk_update", "update_or_create"} and ("status" in names or "status" in words):
        return f"writes a status by {verb}"
    if verb in {"save", "asave"}:
        if "update_fields" not in names:
            return "saves every field, a status read long ago among them"
        if "status" in words:
            return "saves a status"
    return None


def test_nobody_else_writes_a_status():
    writers = [
        f"{path.relative_to(settings.BASE_DIR)}:{line} ({function}) {sentence}"
        for path in source_files()
        for line, function, sentence in writes_in(ast.parse(path.read_text()))
        if f"{path.relative_to(settings.BASE_DIR).as_posix()}:{function}" not in ALLOWED
    ]

    assert not writers, "use core.states.move:\n" + "\n".join(writers)


@pytest.mark.parametrize(
    "source",
    [
        'refund.status = "failed"',
        'refund.status += "x"',
        'a = refund.status = "failed"',
        'setattr(refund, "status", x)',
        'Refund.objects.filter(pk=1).update(status="failed", error_code="x")',
        'Refund.objects.bulk_update(rows, ["status"])',
        'Refund.objects.update_or_create(pk=1, defaults={"status": "failed"})',
        "refund.save()",
        'refund.save(update_fields=["status"])',
        "cursor.execute(\"UPDATE refunds SET error = 1, status = 'failed' WHERE id = 1\")",
    ],
)
def test_the_reader_knows_every_way_around(source):
    assert list(writes_in(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        'refund.save(update_fields=["attempts"])',
        'payment.refunds.create(pk=key, status="pending")',
        "Refund.objects.filter(status=x).update(attempts=1)",
        "status = refund.status",
        'cursor.execute("UPDATE refunds SET attempts = 1 WHERE status IN (1)")',
    ],
)
def test_the_reader_leaves_the_others_alone(source):
    assert not list(writes_in(ast.parse(source)))
