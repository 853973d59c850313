"""Logs as JSON lines on stderr, with the request's id and never a secret."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from serve.gateway import card_numbers, request_ids

_SECRET_NAMES = re.compile(
    r"authorization|password|secret|token|cookie|api_?key|private_?key|credential", re.IGNORECASE
)
_SECRET_TEXTS = re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|://[^/\s:@]+:[^/\s@]+@")
# Each of its connections tries again ten times a second, and says so.
TALKATIVE = (
    "aiokafka",
    "aiokafka.conn",
    "aiokafka.cluster",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
SELDOM_SECONDS = 10.0
SORTS = 200
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Seldom(logging.Filter):
    """Passes of each sort of message one in ten seconds, and says how many it kept back."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[object, float] = {}
        self._kept_back: dict[object, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created - self._last.get(record.msg, float("-inf")) < SELDOM_SECONDS:
            self._kept_back[record.msg] = self._kept_back.get(record.msg, 0) + 1
            return False
        if len(self._last) >= SORTS:
            self._last.clear()
        self._last[record.msg] = record.created
        if more := self._kept_back.pop(record.msg, 0):
            record.msg, record.args = f"{record.getMessage()} (and {more} more like it)", None
        return True


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return card_numbers.masked(_SECRET_TEXTS.sub("[redacted]", value))
    if isinstance(value, dict):
        return {k: "[redacted]" if _SECRET_NAMES.search(str(k)) else _redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(v) for v in value]
    return value


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blanks what is called like a secret, and what looks like one inside other texts."""
    return cast("MutableMapping[str, Any]", _redacted(dict(event)))


def _with_request_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if current := request_ids.current.get():
        event.setdefault("request_id", current)
    return event


def configure(level: str = "info") -> None:
    """Once a process. `level`: debug, info, warning or error."""
    number = _LEVELS[level.lower()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_request_id,
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries that log each request or statement would repeat what we log, with less care for secrets.
    for name in ("uvicorn.access", "httpx", "sqlalchemy.engine"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Seldom) for one in logger.filters):
            logger.addFilter(_Seldom())


def log(**bound: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger: ``log(order=id).info("order confirmed", total=100)``."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(**bound))
