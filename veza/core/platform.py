"""The switches that staff turn while Veza runs."""

from typing import Any

import structlog
from django.db.models.functions import Now

from veza.core.cached_value import CachedValue
from veza.core.causes import Cause
from veza.core.models import PlatformSetting

log = structlog.get_logger(__name__)
MAINTENANCE = "maintenance"


def _read_maintenance() -> dict[str, Any] | None:
    value = PlatformSetting.objects.filter(name=MAINTENANCE).values_list("value", flat=True).first()
    if isinstance(value, dict):
        return value if value.get("on") else None
    return {"on": True} if value is True else None


# The notice (`on`, and perhaps `message` and `retry_after_seconds`) while maintenance mode is on, else None.
# At most five seconds old in every process: turning the switch needs no restart and reading it costs no query.
maintenance = CachedValue(_read_maintenance, seconds=5)


def set_maintenance(*, on: bool, cause: Cause, message: str = "", retry_after_seconds: int | None = None) -> bool:
    """Turn maintenance mode on or off; True if that changed anything.

    Every process follows within five seconds. `message` is shown to buyers and sellers, `retry_after_seconds` tells
    their programs when to retry. Webhooks, workers, log-ins and staff are not affected.
    """
    value: dict[str, Any] = {"on": on}
    if on and message:
        value["message"] = message
    if on and retry_after_seconds is not None:
        value["retry_after_seconds"] = retry_after_seconds
    before = _read_maintenance() is not None
    fields = {"value": value, "changed_by": cause.actor, "reason": cause.reason, "changed_at": Now()}
    PlatformSetting.objects.update_or_create(name=MAINTENANCE, defaults=fields)
    maintenance.forget()
    log.warning("maintenance_switched", on=on, by=cause.actor, reason=cause.reason)
    return before != on
