"""What operators and the acceptance run look at: is the process alive, and what does it stand on?"""

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
# A provider is judged by what we asked of it lately: a status page must not call anybody.
_LATELY = timedelta(minutes=5)
_CALLS_LOOKED_AT = 20


class HealthOutput(serializers.Serializer[dict[str, str]]):
    status = serializers.ChoiceField(choices=[OK])


class ServiceOutput(serializers.Serializer[dict[str, str]]):
    status = serializers.ChoiceField(choices=[OK, DEGRADED, DISABLED])


class ServicesOutput(serializers.Serializer[dict[str, Any]]):
    database = ServiceOutput()
    redis = ServiceOutput()
    hyperswitch = ServiceOutput()
    stripe = ServiceOutput()


class StateOutput(serializers.Serializer[dict[str, Any]]):
    environment = serializers.ChoiceField(choices=["sandbox", "live"])
    version = serializers.CharField()
    maintenance = serializers.BooleanField()
    services = ServicesOutput()


class StatusOutput(serializers.Serializer[dict[str, Any]]):
    data = StateOutput()  # type: ignore[assignment]  # The answer's one key; DRF's own `data` is for instances.


class Health(PublicView):
    """The process answers. Nothing else is looked at: a restart would not bring a database or Redis back."""

    throttle_classes = ()

    @extend_schema(summary="Is the process alive?", responses=HealthOutput, tags=["status"])
    def get(self, request: Request) -> Response:
        return Response({"status": OK})


class Status(PublicView):
    @extend_schema(summary="What does Veza stand on?", responses=StatusOutput, tags=["status"])
    def get(self, request: Request) -> Response:
        return Response({"data": state()})


def _state() -> dict[str, Any]:
    database = _database()
    usable = database == OK
    services = {
        "database": database,
        "redis": _redis(),
        "hyperswitch": _provider("hyperswitch", enabled=settings.HYPERSWITCH_ENABLED, usable=usable),
        "stripe": _provider("stripe", enabled=bool(settings.STRIPE_SECRET_KEY), usable=usable),
    }
    return {
        "environment": "live" if settings.VEZA_ENVIRONMENT == "live" else "sandbox",
        "version": settings.VERSION,
        "maintenance": usable and maintenance() is not None,
        "services": {name: {"status": status} for name, status in services.items()},
    }


# Five seconds old at most: however often it is asked for, it costs next to nothing.
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
    client = redis.Redis.from_url(settings.REDIS_URL, **settings.REDIS_PATIENCE)
    try:
        client.ping()
    except redis.RedisError:
        return DEGRADED
    finally:
        client.close()
    return OK


def _provider(name: str, *, enabled: bool, usable: bool) -> str:
    """Degraded when every one of the latest calls was left without an answer; ok when nothing was asked."""
    if not enabled:
        return DISABLED
    if not usable:
        return DEGRADED
    outcomes = set(latest_of(name, within=_LATELY).values_list("outcome", flat=True)[:_CALLS_LOOKED_AT])
    return DEGRADED if outcomes and outcomes <= {"unknown", "not sent"} else OK
