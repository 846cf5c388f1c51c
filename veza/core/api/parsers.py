"""The API's parser of request bodies."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from veza.core.strict_json import strict_json


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"A body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes."
    default_code = "body_too_large"


class StrictJSONParser(BaseParser):
    """One JSON object of at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes; anything doubtful is a 400 that says why.

    Django's own limit guards `request.body` and not the stream that parsers read, so it is enforced here.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        # A body announced as too large is refused unread: a slow gigabyte would block the process.
        if _content_length(parser_context) > limit or len(raw := stream.read(limit + 1)) > limit:
            raise BodyTooLarge
        try:
            value = strict_json(raw)
        except ValueError as error:
            raise ParseError(str(error)) from None
        if not isinstance(value, dict):
            raise ParseError("The body must be a JSON object.")
        return value


def _content_length(parser_context: Mapping[str, Any] | None) -> int:
    header = str(parser_context["request"].META.get("CONTENT_LENGTH", "")) if parser_context else ""
    return int(header) if header.isdecimal() else 0
