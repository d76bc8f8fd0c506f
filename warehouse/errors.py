"""Errors that people read: what happened and what to do next, in Chinese, with the exit code of the command line.

What belongs here: the error types every room raises. What does not: texts of particular faults (they are written where
the fault is noticed) and the printing of them (the command line does that).
"""

from __future__ import annotations

from typing import ClassVar


class EduplanError(Exception):
    """A fault of the system or its surroundings (exit code 3). Never carries personal data or credentials."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message_zh: str, remedy_zh: str = "") -> None:
        super().__init__(message_zh, remedy_zh)
        self.message_zh = message_zh
        self.remedy_zh = remedy_zh

    def __str__(self) -> str:
        return f"{self.message_zh} {self.remedy_zh}".strip()


class Fault(EduplanError):  # noqa: N818 - the word people use for it
    """Something that must not happen happened: a broken invariant, a damaged file, an unreachable service."""


class Transient(Fault):
    """A fault that may pass by itself: a database that is away or locked. Trying again makes sense."""


class Refused(EduplanError):  # noqa: N818 - the word people use for it
    """A gate, a check or a lock said no (exit code 1)."""

    exit_code: ClassVar[int] = 1


class UsageError(EduplanError):
    """The caller asked for something that makes no sense (exit code 2)."""

    exit_code: ClassVar[int] = 2
