"""The switches that staff turn while Veza runs, as the code asks about them."""

from typing import Any

from veza.core.models import PlatformSetting
from veza.core.remembered import Remembered

MAINTENANCE = "maintenance"


def _read_maintenance() -> dict[str, Any] | None:
    value = PlatformSetting.objects.filter(name=MAINTENANCE).values_list("value", flat=True).first()
    if isinstance(value, dict):
        return value if value.get("on") else None
    return {"on": True} if value is True else None


# What staff wrote (`on`, and perhaps `message` and `retry_after_seconds`) while maintenance is on, else None.
# At most five seconds old in every process: turning the switch needs no restart and asking costs no query.
maintenance = Remembered(_read_maintenance, seconds=5)
