"""Render every machine's table of moves into docs/states.md."""

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand

from veza.core.models import StatefulRow
from veza.core.states import machine_name

PAGE = Path(settings.BASE_DIR) / "docs" / "states.md"


class Command(BaseCommand):
    help = "Write docs/states.md from the tables of moves. A test fails while the page is out of date."

    def handle(self, **options: Any) -> None:
        PAGE.write_text(render_page())
        self.stdout.write(f"{PAGE.relative_to(settings.BASE_DIR)} is up to date.")


def render_page() -> str:
    """The page: a diagram and a table for each machine."""
    machines = [model for model in apps.get_models() if issubclass(model, StatefulRow)]
    parts = [
        "# Statuses and legal moves",
        "Generated from each app's `states.py` by `python manage.py draw_states`; do not edit it by hand. "
        "`veza.core.states.move` is the only code that follows these arrows, and a trigger in the database refuses "
        "every other one.",
    ]
    return "\n\n".join(parts + [_render_machine(model) for model in sorted(machines, key=machine_name)]) + "\n"


def _render_machine(model: type[StatefulRow]) -> str:
    first = model().status
    arrows = [f"    {start} --> {end}" for start, ends in model.moves.items() for end in sorted(ends)]
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, "```"])
    rows = [f"| {start} | {end} | {ends[end]} |" for start, ends in model.moves.items() for end in sorted(ends)]
    table = "\n".join(["| from | to | why |", "| --- | --- | --- |", *rows])
    purpose = (model.__doc__ or "").strip().partition("\n")[0]
    title = f"## {str(model._meta.verbose_name).capitalize()} (`{machine_name(model)}`)"
    return f"{title}\n\n{purpose}\n\n{diagram}\n\n{table}"
