"""The OpenAPI page: complete, without a warning, and honest about errors."""

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
