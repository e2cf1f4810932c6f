"""Structured JSON logs; secrets are struck out before a line is written.

One JSON object a line on standard output: `ts`, `level`, `event`, and what the
caller adds. Never called from the event loop's read callbacks (a log call may block).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"token|secret|password|authorization|cookie|jwt|body", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|(?<=[?&]token=)[^&\s\"']+|(?<=Bearer )\S+|(?<=://)[^\s/@]*:[^\s/@]+(?=@)"
)
STRUCK = "[redacted]"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out values under secret-sounding keys, and tokens or passwords inside any text."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = STRUCK
        elif isinstance(value, str):
            event[key] = _SECRET_VALUES.sub(STRUCK, value)
    return event


def configure(level: str, node_id: str) -> None:
    """Send our own and the libraries' log lines to standard output as JSON."""
    number = logging.getLevelNamesMapping()[level.upper()]

    def name_node(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["node"] = node_id
        return event

    shared: list[structlog.typing.Processor] = [
        name_node,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `part: name`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
