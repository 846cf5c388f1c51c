"""The providers' own schemas, where they are available, and validators of them."""

import copy
import json
import os
from pathlib import Path

import jsonschema

from tests.sandbox.process import ROOT

FOLDER = Path(os.environ.get("VEZA_CONTRACTS_DIR", ROOT.parent / "shared" / "contracts"))
HYPERSWITCH, STRIPE = "hyperswitch-openapi-v1.json", "stripe-openapi-subset.json"


def with_nulls(schema):
    """Translate OpenAPI 3.0's `nullable` to JSON Schema."""
    if isinstance(schema, list):
        return [with_nulls(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: with_nulls(part) for name, part in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def validator_of(file, name):
    """Return a validator of one of a provider's schemas, and the schema's properties."""
    document = with_nulls(json.loads((FOLDER / file).read_text()))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema), document["components"]["schemas"][name]["properties"]


def assert_fits(answer, file, name):
    """Assert that the answer fits the schema and has no other properties."""
    document = with_nulls(json.loads((FOLDER / file).read_text()))
    if name == "PaymentsResponse":
        _fix_payment_schema(document["components"]["schemas"][name]["properties"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)
    assert set(answer) <= set(document["components"]["schemas"][name]["properties"])


def _fix_payment_schema(properties):
    """Fix two places where the schema contradicts its description and the recorded answers."""
    properties["payment_method"] = {"anyOf": [copy.deepcopy(properties["payment_method"]), {"type": "null"}]}
    del properties["amount_capturable"]["minimum"]  # "once fully captured this will be 0"
