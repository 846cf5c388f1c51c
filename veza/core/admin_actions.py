"""What staff may do about a row: one class per action, calling the same verb that the worker calls.

It serves the button on the row's page with its confirmation and required reason, the selection on a list, and the
test that checks every group against every action.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django import forms
from django.db import models

from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User

Row = TypeVar("Row", bound=models.Model)


class ActionForm(forms.Form):
    """What staff fill in before an action runs. Every action requires a reason."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        label="Reason",
        help_text="Shown in the order history with your name.",
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
    )


@dataclass(frozen=True)
class ActionRequest:
    """One submission of an action's form. `id` stays the same when it is submitted twice, so a row can be made under
    it.
    """

    by: User
    answers: Mapping[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_id)


class AdminAction(Generic[Row]):
    """`label` is on the button; `permission` is checked before anything is shown or done.

    `preview` says what will happen, before the reason is given. `perform` calls one verb and returns its result in one
    sentence; it may raise NotAllowed, IllegalMove and StaleState.
    """

    label: ClassVar[str]
    permission: ClassVar[str]
    # False where the form is about one row, so that a selection makes no sense.
    for_selection: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """How the action is named in addresses: `retry-transfer`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    def is_available(self, row: Row) -> bool:
        """Whether the action makes sense for the row in its present state."""
        return True

    def version_of(self, row: Row) -> str:
        """What must not change between the confirmation page and the confirmation."""
        return str(getattr(row, "status", ""))

    def form(self, row: Row, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ActionForm(data)

    def preview(self, row: Row, *, params: ActionRequest) -> list[str]:
        raise NotImplementedError

    def perform(self, row: Row, *, cause: Cause, params: ActionRequest) -> str:
        raise NotImplementedError
