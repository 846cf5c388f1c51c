"""The body of a request that writes: strict JSON of a bounded size, with exactly the fields its serializer names.

Nothing is ignored in silence.
"""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ErrorDetail, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from veza.core.strict_json import strict_json

UNKNOWN_FIELD = "unknown_field"
# A body of thousands of invented keys is not answered, and stored as an answer, at a hundred times its size.
MOST_NAMED, LONGEST_NAME = 20, 100


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


class Input(serializers.Serializer[Any]):
    """The base of every body. A key that it does not name is refused: it would have changed nothing.

    A client that sends `quantity: 3` and gets one, or mistypes the key that limits a refund, has lost money by
    silence. A nested body has this base too, and the API's document says `additionalProperties: false` of all.
    """

    def to_internal_value(self, data: Any) -> Any:
        names = sorted(self.fields)
        unknown = [str(key) for key in data if key not in self.fields] if isinstance(data, Mapping) else []
        if unknown:
            fields = f"The fields are {', '.join(names)}." if names else "This request has no body."
            message = ErrorDetail(f"There is no such field. {fields}", code=UNKNOWN_FIELD)
            raise serializers.ValidationError({key[:LONGEST_NAME]: [message] for key in unknown[:MOST_NAMED]})
        return super().to_internal_value(data)


class NoInput(Input):
    """The body of a request whose address says everything: none, or `{}`."""


def input_of(request: Request, kind: type[Input]) -> dict[str, Any]:
    """The validated body of `request`. Raises ValidationError: 400, with every field that is wrong."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    payload: dict[str, Any] = body.validated_data
    return payload
