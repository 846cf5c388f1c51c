"""The body of a request that writes: exactly the fields its serializer names. Nothing is ignored in silence."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

UNKNOWN_FIELD = "unknown_field"
# A body of thousands of invented keys is not answered, and stored as an answer, at a hundred times its size.
MOST_NAMED, LONGEST_NAME = 20, 100


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
