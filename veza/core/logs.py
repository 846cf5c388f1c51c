"""Structured logs: one JSON object a line, with the request's id, and secrets masked in every field."""

import json
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAME = re.compile(
    r"secret|password|token|authorization|api[-_]?key|signature|cookie|client_secret", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"\b(?:(?:sk|rk|pk|whsec|snd)_[A-Za-z0-9_]{6,}|[A-Za-z0-9_]+_secret_[A-Za-z0-9]+|eyJ[\w-]+\.[\w-]+\.[\w-]+)"
)
_CARD_NUMBER = re.compile(r"(?<![\w-])(?:\d[ -]?){12,18}\d(?![\w-])")
MASK = "[masked]"


def mask_text(text: str) -> str:
    """`text` with provider keys, tokens, client secrets and anything that passes as a card number masked."""
    text = _SECRET_TEXT.sub(MASK, text)
    return _CARD_NUMBER.sub(lambda match: MASK if _passes_luhn(match[0]) else match[0], text)


def _passes_luhn(text: str) -> bool:
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubles = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubles)) % 10 == 0


def _mask_value(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {key: _mask_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_value("", inner) for inner in value]
    return value


def masked_json(text: str) -> str:
    """Indented JSON, secrets masked by name and by shape; other text is masked by shape alone."""
    try:
        payload = json.loads(text)
    except ValueError:
        return mask_text(text)
    return json.dumps(_mask_value("", payload), indent=2, ensure_ascii=False)


def mask_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor that masks by name and by shape, in every field and in the text of an exception."""
    return {name: _mask_value(name, value) for name, value in event.items()}


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def logging_config(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything, ours and the libraries', leaves as one JSON line on standard error."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    mask_secrets,
                    structlog.processors.JSONRenderer(),
                ],
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": level},
            "django.server": {"handlers": [], "propagate": True},
            "stripe": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
        },
    }
