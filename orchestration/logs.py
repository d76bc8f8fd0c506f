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


@contextmanager
def logging_to(home: Home) -> Iterator[Path]:
    """Send this process's log to the home's log file: ours from INFO, libraries' warnings. Raises OSError."""
    path = logs_dir(home) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
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
        root.removeHandler(handler)
        handler.close()
