"""What staff may do about a row: one class per action, calling the same verb that the worker calls.

It serves the button on the row's page with its confirmation and required reason, the selection on a list, and the
test that checks every group against every action.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django import forms
from django.db import models

from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.money import exponent

Row = TypeVar("Row", bound=models.Model)


def reason_field(help_text: str) -> forms.CharField:
    """The reason that every action requires; `help_text` says who reads it."""
    return forms.CharField(
        max_length=500,
        strip=True,
        label="Reason",
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
    )


class ActionForm(forms.Form):
    """What staff fill in before an action runs. Every action requires a reason."""

    reason = reason_field("Shown in the order history with your name.")


def minor_units(amount: Decimal, currency: str, *, most_minor: int | None = None) -> int:
    """An entered amount in minor units of `currency`. Raises ValidationError for one that is zero or less, has more
    decimals than the currency, or exceeds `most_minor`.
    """
    digits = exponent(currency)
    minor = amount.scaleb(digits)
    if minor != int(minor) or minor <= 0 or (most_minor is not None and minor > most_minor):
        raise forms.ValidationError(f"Enter an amount above zero with at most {digits} decimals.")
    return int(minor)


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
