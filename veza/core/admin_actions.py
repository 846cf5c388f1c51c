"""What staff may do about a row: one class an action, calling the verb that the worker calls.

It serves the button on the row's page with its confirmation and required reason, the selection on a list, and the
test that no group does what it may not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from django import forms

from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User


class ActionForm(forms.Form):
    """What a person is asked before anything is done. Every action asks why."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        label="Why",
        help_text="It stands in the money timeline with your name.",
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
    )


@dataclass(frozen=True)
class ActionRequest:
    """Who asks for what: `id` is the same however often the button is pressed, so a row can be made under it."""

    by: User
    answers: Mapping[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_id)


class AdminAction:
    """`label` is on the button, `permission` is looked at before anything is shown or done.

    `preview` says what will happen, before the reason is given. `perform` calls one verb and returns what came of it in
    one sentence; it may raise NotAllowed, IllegalMove and StaleState.
    """

    label: ClassVar[str]
    permission: ClassVar[str]
    # Where only one row at a time makes sense, because the person is asked about it.
    for_selection: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """How the action stands in addresses: `retry-transfer`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    def is_available(self, row: Any) -> bool:
        """Whether there is anything to do about the row as it stands."""
        return True

    def standing(self, row: Any) -> str:
        """What must not have changed between the question and the answer."""
        return str(getattr(row, "status", ""))

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return ActionForm(data)

    def preview(self, row: Any, *, params: ActionRequest) -> list[str]:
        raise NotImplementedError

    def perform(self, row: Any, *, cause: Cause, params: ActionRequest) -> str:
        raise NotImplementedError
