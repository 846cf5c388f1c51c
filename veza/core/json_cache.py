"""Values in the cache as JSON: whoever can write to Redis changes a count, and never runs code in our processes."""

import json
from typing import Any


class JsonSerializer:
    """What Django's Redis cache calls instead of pickling. An integer is its digits, so that Redis can count it."""

    def dumps(self, value: Any) -> str:
        """The value as JSON. Raises TypeError for what JSON cannot hold."""
        return json.dumps(value, separators=(",", ":"))

    def loads(self, stored: bytes) -> Any:
        """The value again. Raises ValueError for anything that is not JSON."""
        return json.loads(stored)
