"""Errors whose text can be shown to the caller."""

from collections.abc import Mapping
from typing import Any


class NotAllowed(Exception):
    """A business rule says no. The text can be shown to the caller.

    `code` is stable and for programs; `http_status` is what an API caller gets. `members` says in figures what the text
    says in words: members of its own that the error has in the API.
    """

    code = "not_allowed"
    http_status = 400
    members: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        return str(self)


class NotFound(NotAllowed):
    """There is no such row, or it belongs to another user: the two must look alike."""

    code = "not_found"
    http_status = 404
