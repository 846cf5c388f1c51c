"""`.env.example` explains every setting that the settings read, and no other."""

import ast
import re
from collections.abc import Iterator

from tests.docs.pages import ROOT

SETTINGS = ROOT / "veza" / "settings.py"
EXAMPLE = ROOT / ".env.example"
SECTION = re.compile(r"^# --- (.+?)[:.]? ", re.MULTILINE)
# Its default is a text that nobody should copy.
DEFAULT_NOT_SHOWN = {"SECRET_KEY"}


def settings_read() -> Iterator[tuple[str, str]]:
    """Name and default of every setting, as somebody would write the default into the environment."""
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="env")) | ast.Name(id="env" | "duration" | "amounts"),
                args=[ast.Constant(value=str(name)), *rest],
            ):
                match = [keyword.value for keyword in node.keywords if keyword.arg == "default"]
                (default,) = [*rest, *match]
                yield name, as_written(ast.literal_eval(default))


def as_written(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_explained() -> list[tuple[str, str]]:
    return re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)


def test_every_setting_is_in_the_example_and_the_other_way_round():
    assert {name for name, _ in settings_explained()} == {name for name, _ in settings_read()}


def test_settings_stand_in_their_sections_in_the_order_they_are_read():
    sections = [name.partition(":")[0] for name in SECTION.findall(SETTINGS.read_text())]
    comments = [name.partition(":")[0] for name in SECTION.findall(EXAMPLE.read_text())]

    assert comments == [name for name in sections if name in comments]


def test_no_setting_is_explained_twice():
    names = [name for name, _ in settings_explained()]

    assert sorted(names) == sorted(set(names))


def test_the_example_shows_the_defaults():
    examples, names = dict(settings_explained()), dict(settings_read())

    for name in names.keys() - DEFAULT_NOT_SHOWN:
        assert (name, examples[name]) == (name, names[name])
    assert all(examples[name] == "" for name in DEFAULT_NOT_SHOWN)


def test_a_copied_example_changes_nothing():
    lines = EXAMPLE.read_text().splitlines()

    assert [line for line in lines if line.strip() and not line.startswith("#")] == []


def test_every_setting_has_an_explanation_above_it():
    lines = EXAMPLE.read_text().splitlines()

    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if re.match(r"#[A-Z][A-Z0-9_]*=", line) and not above.startswith("# ")
    ]

    assert bare == []
