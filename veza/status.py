"""The health page and the status page: is the process alive, and do its dependencies answer?"""

from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import Error, connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from veza.core.api.auth import PublicView
from veza.core.cached_value import CachedValue
from veza.core.calls import latest_of
from veza.core.platform import maintenance

OK, DEGRADED, DISABLED = "ok", "degraded", "disabled"
# A provider is judged by our latest calls to it: a status page must not make any.
_LATELY = timedelta(minutes=5)
_CALL_LIMIT = 20


class HealthOutput(serializers.Serializer[dict[str, str]]):
    status = serializers.ChoiceField(choices=[OK])


class ServiceOutput(serializers.Serializer[dict[str, str]]):
    status = serializers.ChoiceField(choices=[OK, DEGRADED, DISABLED])


class ServicesOutput(serializers.Serializer[dict[str, Any]]):
    database = ServiceOutput()
    redis = ServiceOutput()
    hyperswitch = ServiceOutput()
    stripe = ServiceOutput()
    smtp = ServiceOutput()


class StateOutput(serializers.Serializer[dict[str, Any]]):
    environment = serializers.ChoiceField(choices=["sandbox", "live"])
    version = serializers.CharField()
    maintenance = serializers.BooleanField()
    services = ServicesOutput()


class StatusOutput(serializers.Serializer[dict[str, Any]]):
    data = StateOutput()  # type: ignore[assignment]  # The answer's one key; DRF's own `data` is for instances.


class Health(PublicView):
    """The process answers. Nothing else is checked: a restart would not repair a database or Redis."""

    throttle_classes = ()

    @extend_schema(
        operation_id="get_health", summary="Check that the process is alive", responses=HealthOutput, tags=["status"]
    )
    def get(self, request: Request) -> Response:
        return Response({"status": OK})


class Status(PublicView):
    """Whether the database, Redis, both providers and the mail server answer, and whether maintenance mode is on."""

    @extend_schema(
        operation_id="get_status",
        summary="Get the state of Veza's dependencies",
        responses=StatusOutput,
        tags=["status"],
    )
    def get(self, request: Request) -> Response:
        return Response({"data": state()})


def _state() -> dict[str, Any]:
    database = _database()
    has_database = database == OK
    services = {
        "database": database,
        "redis": _redis(),
        "hyperswitch": _provider("hyperswitch", is_enabled=settings.HYPERSWITCH_ENABLED, has_database=has_database),
        "stripe": _provider("stripe", is_enabled=bool(settings.STRIPE_SECRET_KEY), has_database=has_database),
        "smtp": _provider("smtp", is_enabled=bool(settings.SMTP_HOST), has_database=has_database),
    }
    return {
        "environment": "live" if settings.VEZA_ENVIRONMENT == "live" else "sandbox",
        "version": settings.VERSION,
        "maintenance": has_database and maintenance() is not None,
        "services": {name: {"status": status} for name, status in services.items()},
    }


# At most five seconds old: however often it is read, it costs next to nothing.
state = CachedValue(_state, seconds=5)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return DEGRADED
    return OK


def _redis() -> str:
    if not settings.REDIS_URL:
        return DISABLED
    client = redis.Redis.from_url(settings.REDIS_URL, **settings.REDIS_TIMEOUTS)
    try:
        client.ping()
    except redis.RedisError:
        return DEGRADED
    finally:
        client.close()
    return OK


def _provider(name: str, *, is_enabled: bool, has_database: bool) -> str:
    """Degraded when all of the latest calls got no answer; ok when there were none."""
    if not is_enabled:
        return DISABLED
    if not has_database:
        return DEGRADED
    outcomes = set(latest_of(name, within=_LATELY).values_list("outcome", flat=True)[:_CALL_LIMIT])
    return DEGRADED if outcomes and outcomes <= {"unknown", "not sent"} else OK
