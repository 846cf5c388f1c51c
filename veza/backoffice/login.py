"""Staff logging in: locked for a while, on person and address, after too many tries."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from veza.core.api.lockout import TooManyTries, count_try, forget_tries
from veza.core.api.requests import source_address


class StaffLogin(AdminAuthenticationForm):
    """Django's form, counting each try before the password is looked at."""

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username", "")
        address = source_address(self.request) if self.request is not None else None
        try:
            count_try(email, address)
        except TooManyTries as locked:
            raise ValidationError(locked.text, code=locked.code) from locked
        cleaned = super().clean()
        forget_tries(email, address)
        return cleaned
