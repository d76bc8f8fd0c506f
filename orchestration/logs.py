"""The log of this machine's runs: one JSON object a line below `<home>/logs`, masked, rotated, never on the terminal.

What belongs here: the format and the switch that turns it on. What does not: what is said to people.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from warehouse.clock import now
from warehouse.errors import EduplanError
from warehouse.masking import mask_personal
from warehouse.paths import Home

FILE: Final = "eduplan.jsonl"
_ROOMS: Final = ("eduplan", "orchestration", "sources", "expectations", "warehouse")
_MAX_BYTES: Final = 5_000_000
_KEPT: Final = 3
_FORMATTER: Final = logging.Formatter()
# Dagster says of each test that a build of a share did not run that nothing was gated on it. A table that stayed passed
# it when it was made, and a test that fails ends the build's step: a line for each would only alarm.
_DAGSTERS_PLAN: Final = "dagster._core.execution.plan.active"
_NOT_SO: Final = "emitted no result"

log = logging.getLogger(__name__)


def logs_dir(home: Home) -> Path:
    """Where logs lie."""
    return home.root / "logs"


class JsonFormatter(logging.Formatter):
    """time, level, logger, message and, where there was one, the exception; all texts masked."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        content = {
            "time": now().isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask_personal(record.getMessage()),
        }
        if record.exc_info:
            content["exception"] = mask_personal(_FORMATTER.formatException(record.exc_info))
        return json.dumps(content, ensure_ascii=False)


def _is_so(record: logging.LogRecord) -> bool:
    return _NOT_SO not in record.getMessage()


class _HomeHandler(RotatingFileHandler):
    """The handler of one home's log."""


def _is_logged(path: Path) -> bool:
    found = [one for one in logging.getLogger().handlers if isinstance(one, _HomeHandler)]
    return any(Path(one.baseFilename) == path.absolute() for one in found)


@contextmanager
def logging_to(home: Home) -> Iterator[Path]:
    """Send this process's log to the home's log file: ours from INFO, libraries' warnings. Within another one for the
    same home it does nothing more. Raises OSError."""
    path = logs_dir(home) / FILE
    if _is_logged(path):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _HomeHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    root, plan = logging.getLogger(), logging.getLogger(_DAGSTERS_PLAN)
    # A library of dbt's puts one up when it is imported, which would print everything once more, unmasked.
    printing = [one for one in root.handlers if type(one) is logging.StreamHandler]
    for one in printing:
        root.removeHandler(one)
    root.addHandler(handler)
    # There and not on the handler, for those that others put up meanwhile.
    plan.addFilter(_is_so)
    for room in _ROOMS:
        # Libraries keep their own levels: only what they warn of is worth keeping.
        logging.getLogger(room).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    try:
        yield path
    except EduplanError as error:
        log.warning("%s: %s", type(error).__name__, error)
        raise
    finally:
        logging.captureWarnings(capture=False)
        plan.removeFilter(_is_so)
        root.removeHandler(handler)
        for one in printing:
            root.addHandler(one)
        handler.close()
