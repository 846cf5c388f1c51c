"""What a person is told when a rule says no."""


class NotAllowed(Exception):
    """A business rule says no. The text can be shown to the person who asked.

    `code` is stable and for programs; `http_status` is what an API caller gets.
    """

    code = "not_allowed"
    http_status = 400

    @property
    def text(self) -> str:
        return str(self)


class NotFound(NotAllowed):
    """There is no such thing, or it is not this person's: the two must look alike."""

    code = "not_found"
    http_status = 404
