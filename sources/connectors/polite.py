"""HTTP GET with manners: conditional, bounded in time and size, repeated on a schedule without chance in it.

What belongs here: one answer to one question. What does not: what is asked for and why (`sources.connectors.rest`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from sources.connectors.problems import Unreachable
from warehouse.clock import now
from warehouse.errors import Fault

_LARGEST_BODY: Final = 64 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A body with the ETag it came under; `unchanged` answers (304) have no body."""

    etag: str
    body: bytes
    unchanged: bool = False


@dataclass(frozen=True)
class Schedule:
    """How often to try (attempts), how long to wait first and at most (seconds); the wait doubles in between."""

    attempts: int
    first_wait: float
    longest_wait: float

    def wait(self, attempt: int) -> float:
        """Seconds to wait after this failed attempt (1, 2, …)."""
        return min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)

    def persist(self, kind: type[Exception], work: Callable[[], T]) -> T:
        """Do `work`, again after each `kind` of error, and let the last one through. A `_Passing` error that says how
        long to wait is obeyed."""
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(kind),
            reraise=True,
        )
        return retrying(work)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.retry_after if isinstance(error, _Passing) else None
        return self.wait(state.attempt_number) if told is None else told


class _Passing(Exception):  # noqa: N818 - it is no error of ours
    """Something that may be gone in a moment: 429, 5xx, a broken or slow connection."""

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after = retry_after


class PoliteClient:
    """Asks one service. `where_zh` names it in messages; they never repeat a header, a query or the service's words."""

    def __init__(self, client: httpx.Client, where_zh: str, schedule: Schedule, timeout_seconds: float) -> None:
        self._client, self._where, self._schedule, self._timeout = client, where_zh, schedule, timeout_seconds

    def get(self, address: str, known_etags: Collection[str] = ()) -> Answer:
        """The answer, or `unchanged` when the present state is one of `known_etags`.

        Raises Unreachable when the service stays away or lets nobody in, Fault on any other refusal.
        """
        headers = {"If-None-Match": ", ".join(sorted(known_etags))} if known_etags else {}
        try:
            return self._schedule.persist(_Passing, lambda: self._once(address, headers))
        except _Passing as error:
            raise Unreachable(
                f"{self._where}暂时不可用（{error.what}），已重试 {self._schedule.attempts - 1} 次。",
                "请检查网络与对方服务；恢复后会自动重收。",
            ) from None

    def _once(self, address: str, headers: dict[str, str]) -> Answer:
        try:
            with self._client.stream("GET", address, headers=headers) as response:
                self._check_status(response)
                return self._answer(response)
        except (httpx.TransportError, httpx.DecodingError) as error:
            # The library's text may hold the address with its query.
            raise _Passing(type(error).__name__) from None

    def _answer(self, response: httpx.Response) -> Answer:
        etag = response.headers.get("ETag", "")
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return Answer(etag, b"", unchanged=True)
        if not etag:
            raise Fault(f"{self._where}的应答没有 ETag，无法判断数据是否变动。", "请对方按约定提供 ETag。")
        return Answer(etag, self._body(response))

    def _body(self, response: httpx.Response) -> bytes:
        """The decoded body; a slow or endless one is given up."""
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise Fault(f"{self._where}的一页超过 {_LARGEST_BODY >> 20} MB，未收取。", "请对方减小每页条数。")
            if time.monotonic() > deadline:
                raise _Passing("ReadTimeout")
        return bytes(body)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
            return
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _Passing(f"HTTP {status}", self._retry_after(response))
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Unreachable(
                f"{self._where}拒绝访问（HTTP {status}）。", "请检查令牌与权限是否正确、是否过期；改正后会自动重收。"
            )
        raise Fault(f"{self._where}不接受请求（HTTP {status}）。", "请检查配置中的地址与路径是否符合对方的接口。")

    def _retry_after(self, response: httpx.Response) -> float | None:
        """Seconds the service asks us to wait, None when it does not say. Raises Unreachable when that is too long."""
        wait = _seconds(response.headers.get("Retry-After", ""))
        if wait is not None and wait > self._schedule.longest_wait:
            raise Unreachable(
                f"{self._where}要求等待 {wait:.0f} 秒（HTTP {response.status_code}），本次不再等。", "之后会自动重收。"
            )
        return wait


def _seconds(retry_after: str) -> float | None:
    """Both forms of Retry-After: seconds, or a date."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (ValueError, TypeError):
        # Empty, not a date, or one without a zone: as if nothing had been said.
        return None
