"""The switches that staff turn while Veza runs, as the code asks about them."""

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


# What staff wrote (`on`, and perhaps `message` and `retry_after_seconds`) while maintenance is on, else None.
# At most five seconds old in every process: turning the switch needs no restart and asking costs no query.
maintenance = CachedValue(_read_maintenance, seconds=5)


def set_maintenance(*, on: bool, cause: Cause, message: str = "", retry_after_seconds: int | None = None) -> bool:
    """Turn buyers and sellers away, or let them in again; True if that changed anything.

    Every process knows within five seconds. `message` is shown to them, `retry_after_seconds` tells their programs
    when to come back. Webhooks, workers, log-ins and staff go on.
    """
    value: dict[str, Any] = {"on": on}
    if on and message:
        value["message"] = message
    if on and retry_after_seconds is not None:
        value["retry_after_seconds"] = retry_after_seconds
    before = _read_maintenance() is not None
    payload = {"value": value, "changed_by": cause.actor, "reason": cause.reason, "changed_at": Now()}
    PlatformSetting.objects.update_or_create(name=MAINTENANCE, defaults=payload)
    maintenance.forget()
    log.warning("maintenance_switched", on=on, by=cause.actor, reason=cause.reason)
    return before != on
