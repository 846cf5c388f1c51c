"""What the OpenAPI page says about every call: the shape of an error, and that a body has no other fields."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension

from veza.core.api.inputs import Input
from veza.core.api.problems import PROBLEM_JSON

_FIELD_ERROR = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {
        "field": {"type": "string", "description": "Path of the field, such as `items.0.license`."},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and for programs; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "example": "not_found"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": _FIELD_ERROR},
    },
}
_METHODS = {"get", "post", "put", "patch", "delete"}


def document_problems(result: dict[str, Any], generator: object, request: object, public: bool) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook: every call may answer with a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    answer = {
        "description": "Why the request was not done.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for calls in result.get("paths", {}).values():
        for method in _METHODS & calls.keys():
            calls[method]["responses"].setdefault("default", answer)
    return result


class ExactBody(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # The library is not typed.
    """A request's body has the fields it names and no others."""

    target_class = Input
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}
