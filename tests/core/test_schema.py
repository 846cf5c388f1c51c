"""The OpenAPI page: complete, without a warning, and honest about errors."""

import re

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from veza.core.api.schema import document_problems


@pytest.fixture
def schema():
    GENERATOR_STATS.reset()
    return SchemaGenerator().get_schema(request=None, public=True)


def test_it_is_generated_without_a_warning(schema):
    assert not GENERATOR_STATS, [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    validate_schema(schema)


def test_every_call_may_answer_with_a_problem(schema):
    result = document_problems(schema, None, None, True)

    for calls in result["paths"].values():
        for call in calls.values():
            assert "application/problem+json" in call["responses"]["default"]["content"]


@pytest.mark.urls("tests.core.example_urls")
def test_a_call_that_takes_a_key_says_so(schema):
    parameters = schema["paths"]["/api/v1/charges"]["post"]["parameters"]

    assert [(one["name"], one["in"]) for one in parameters] == [("Idempotency-Key", "header")]


VERBS = (
    "add|become|cancel|change|check_out|clear|complete|create|delete|get|list|pay|preview|refresh|refund|submit|update|"
    "upgrade|withdraw"
)


def test_every_operation_id_is_a_verb_and_a_noun(schema):
    ids = [call["operationId"] for calls in schema["paths"].values() for call in calls.values()]

    assert len(ids) > 30
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(rf"({VERBS})_[a-z_]+", name)] == []
