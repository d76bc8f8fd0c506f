"""Sensors: one a kind of connector, one that notices when the release no longer says what the inputs say, and those of
`orchestration.watching`.

What belongs here: looking, and asking for `release_job`. What does not: when to ask (`orchestration.events`), what
waits (`sources.watch`), the stations. A run drains everything that waits, so it does not matter which sensor asked for
it, and while one is under way nobody asks for another: the next look after it sees what it did not take.
"""

# No postponed annotations here: Dagster reads the parameters' types.
import math
import os
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import dagster as dg

from expectations import rules_version
from orchestration import heartbeat, keys, warm
from orchestration.events import Cursor, decide
from orchestration.resources import HomeResource
from orchestration.steps import VERDICT_FILE, find_inputs
from orchestration.under_way import at_work, close_dead_runs, under_way
from orchestration.watching import build_watchers
from sources import contract
from sources.connectors import folder, sql
from sources.connectors.arrival import Arrival
from sources.connectors.config import configured
from sources.intake import LONGEST_REST, contract_versions
from sources.watch import KINDS, key_of, waiting
from warehouse.candidate import code_digest
from warehouse.clock import now
from warehouse.errors import UsageError
from warehouse.files import canonical_json, sha256_bytes
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.verdict import Verdict

WINDOW_VARIABLE: Final = "EDUPLAN_WINDOW_SECONDS"
DEFAULT_WINDOW: Final = 2.0
LINGER_VARIABLE: Final = "EDUPLAN_LINGER_SECONDS"
DEFAULT_LINGER: Final = 4.0
_PEEK_SECONDS: Final = 0.25
# Which part of its rest a file must have behind it for a run to be asked for: while that starts the rest passes, and a
# file that somebody is writing changes more often.
_SEEN_AFTER: Final = 0.25
# However long files keep coming: then the run starts, and what comes later makes the next release.
_LONGEST_WINDOW: Final = 20.0
# Dagster looks every five seconds; asked for exactly five, it leaves out every look that comes a moment early.
_TICK_SECONDS: Final = 3
# Of a kind nobody has named a source of: somebody may, but a look costs the daemon as much as one that finds something.
_IDLE_TICK_SECONDS: Final = 30
KEY_TAG: Final = "eduplan/key"

Answer = dg.RunRequest | dg.SkipReason
# As `folder.folders` tells them.
Folders = frozenset[tuple[str, int]]


def build_sensors(home: HomeResource) -> list[dg.SensorDefinition]:
    """All sensors, switched on. They need neither secrets nor services to be defined.

    They hold `home` instead of asking for it: for a look that asks for a resource Dagster opens the whole instance and
    compares its tables' versions, which takes longer than most looks.
    """
    return [*(_arrivals(kind, home) for kind in KINDS), _inputs(home), *build_watchers(home)]


def _arrivals(kind: str, home: HomeResource) -> dg.SensorDefinition:
    @dg.sensor(
        name=heartbeat.arrivals_sensor(kind),
        job_name=keys.JOB,
        minimum_interval_seconds=_interval(kind),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"{KINDS[kind]}：有新到的报送件就发起一次运行，把所有等待的一并处理。\n\n"
            f"Asks for one run when something new waits at a source of kind `{kind}`."
        ),
    )
    def arrivals(context: dg.SensorEvaluationContext) -> Iterator[Answer]:
        place = home.home()
        if not place.root.is_dir():
            yield dg.SkipReason(f"状态目录 {place.root} 尚不存在。")
            return
        heartbeat.beat(place, heartbeat.arrivals_sensor(kind))
        with closing(Ledger(place.ledger_url)) as ledger:
            yield _answer(context, place, ledger, kind, home.settle_seconds)

    return arrivals


def _interval(kind: str) -> int:
    """How many seconds lie between two looks, given the sources there are when definitions are loaded. The inbox is
    always there, and so may the finance database be."""
    if kind in {folder.CONNECTOR, sql.CONNECTOR}:
        return _TICK_SECONDS
    try:
        named = {settings.kind for settings in configured()}
    except UsageError:
        # Each look tells what is wrong with the file.
        return _TICK_SECONDS
    return _TICK_SECONDS if kind in named else _IDLE_TICK_SECONDS


def _answer(context: dg.SensorEvaluationContext, home: Home, ledger: Ledger, kind: str, settle: float | None) -> Answer:
    began, started = now().timestamp(), time.monotonic()
    # Who works on this home goes through the inbox himself, and whatever comes meanwhile is seen when he has ended.
    if kind == folder.CONNECTOR and (reason := _outlasting(ledger, started)):
        return dg.SkipReason(reason)
    # Before the files are listed: whatever comes while they are is seen to have come.
    before = folder.folders(home.inbox, contract.feeds()) if kind == folder.CONNECTOR else frozenset()
    found, problems = _look(home, ledger, kind, settle)
    for problem in problems:
        context.log.warning(problem)
    if not found and kind == folder.CONNECTOR:
        # Counted from when the look began: one that is not over when the next one is due has nobody look for as long
        # again, and the first after a run takes longer by itself.
        began, found = now().timestamp(), _watched(home, ledger, settle, before, started + linger_seconds())
    elif not found and not problems:
        began, found = _lingering(home, ledger, kind, settle)
    cursor = Cursor.read(context.cursor)
    if found and (reason := under_way(context.instance, ledger)):
        return dg.SkipReason(reason)
    decision = decide(key_of(found), cursor, now())
    if kind == folder.CONNECTOR and decision.ask and decision.cursor.key != cursor.key:
        # The first of several: those that follow within the window belong into the same release.
        found = _gathered(home, ledger, settle, found)
        decision = decide(key_of(found), cursor, now())
    context.update_cursor(decision.cursor.text())
    if not decision.ask:
        rest = f"{len(problems)} 个来源无法查看：{problems[0]}" if problems else "没有新到的报送件。"
        return dg.SkipReason(f"{len(found)} 件已发起过处理，稍后重试。" if found else rest)
    tags = {
        KEY_TAG: decision.cursor.key,
        keys.SENSOR_TAG: heartbeat.arrivals_sensor(kind),
        "eduplan/waiting": str(len(found)),
    }
    if kind != folder.CONNECTOR:
        # While the run starts the window passes; the run waits for the rest of it.
        tags[keys.GATHER_TAG] = f"{began + window_seconds():.3f}"
    return dg.RunRequest(run_key=f"{kind}-{decision.run_key}-{now():%Y%m%dT%H%M%S}", tags=tags)


def _outlasting(ledger: Ledger, started: float) -> str:
    """Who works on this home for as long as a look takes, in Chinese; '' as soon as nobody does."""
    while (reason := at_work(ledger)) and time.monotonic() < started + linger_seconds():
        time.sleep(_PEEK_SECONDS)
    return reason


def _look(home: Home, ledger: Ledger, kind: str, settle: float | None) -> tuple[list[Arrival], list[str]]:
    rest = _rest(settle)
    settled = rest * _SEEN_AFTER if rest < LONGEST_REST else rest
    found = waiting(home, ledger, kind, settle=settled, share=_SEEN_AFTER)
    heartbeat.looked(home, heartbeat.arrivals_sensor(kind), kind, found)
    return [arrival for arrival in found if not arrival.problem], [a.problem for a in found if a.problem]


def _lingering(home: Home, ledger: Ledger, kind: str, settle: float | None) -> tuple[float, list[Arrival]]:
    """When (seconds since 1970) this look began to see what comes while it goes on, and that: looks are seconds apart.
    Everything else is left to the next one."""
    pause = linger_seconds() / 2
    # A database would count all its lines once more for it.
    if pause and kind != sql.CONNECTOR and any(settings.kind == kind for settings in configured()):
        time.sleep(pause)
        return now().timestamp(), _look(home, ledger, kind, settle)[0]
    return now().timestamp(), []


def _watched(home: Home, ledger: Ledger, settle: float | None, before: Folders, end: float) -> list[Arrival]:
    """What comes to rest in the inbox until `end`, which is cheap to watch; a file that came and has not rested is
    waited for. `before` are the folders as they were before anybody looked for files."""
    feeds = contract.feeds()
    came = linger_seconds() > 0 and folder.resting(home.inbox, feeds) < _rest(settle)
    while time.monotonic() < end:
        time.sleep(_PEEK_SECONDS)
        if not came and folder.folders(home.inbox, feeds) != before:
            # As long as it takes to be seen, and not much longer.
            came, end = True, time.monotonic() + _rest(settle) + _PEEK_SECONDS
        if came and (found := _look(home, ledger, folder.CONNECTOR, settle)[0]):
            return found
    return []


def _rest(settle: float | None) -> float:
    return folder.settle_seconds() if settle is None else settle


def linger_seconds() -> float:
    """How long one look at the inbox takes, watching, when nothing waits: EDUPLAN_LINGER_SECONDS, default 4; 0: it does
    not watch. Servers, buckets, APIs and streams are looked at once more after half of it. Raises UsageError."""
    return _seconds(LINGER_VARIABLE, DEFAULT_LINGER)


def _gathered(home: Home, ledger: Ledger, settle: float | None, found: list[Arrival]) -> list[Arrival]:
    """What waits in the inbox once nothing more came for the length of the window."""
    window = window_seconds()
    # The run itself waits until the inbox has been at rest for as long, or the window has passed already.
    if window <= _rest(settle) or window <= folder.resting(home.inbox, contract.feeds()) < math.inf:
        return found
    end = time.monotonic() + max(window, _LONGEST_WINDOW)
    while window and time.monotonic() < end:
        time.sleep(window)
        again, _ = _look(home, ledger, folder.CONNECTOR, settle)
        if key_of(again) == key_of(found):
            break
        found = again
    return found


def window_seconds() -> float:
    """Within how many seconds events make one release: EDUPLAN_WINDOW_SECONDS, default 2. Raises UsageError."""
    return _seconds(WINDOW_VARIABLE, DEFAULT_WINDOW)


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WINDOW:
        raise UsageError(f"{variable} 应为 0 到 {_LONGEST_WINDOW:.0f} 之间的秒数，现为 {text!r}。")
    return seconds


def _inputs(home: HomeResource) -> dg.SensorDefinition:
    @dg.sensor(
        name=heartbeat.INPUTS_SENSOR,
        job_name=keys.JOB,
        minimum_interval_seconds=_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "当前发布与应有的内容不一致（运行中断、代码或约定更新、豁免变化）时发起一次运行。\n\n"
            "Asks for a run when the release is not what the inputs lead to: after a crash, new code or a new waiver."
        ),
    )
    def inputs_changed(context: dg.SensorEvaluationContext) -> Iterator[Answer]:
        place = home.home()
        if not place.root.is_dir():
            yield dg.SkipReason(f"状态目录 {place.root} 尚不存在。")
            return
        _keep_warm(context, place)
        heartbeat.beat(place, heartbeat.INPUTS_SENSOR)
        with closing(Ledger(place.ledger_url)) as ledger:
            reason = at_work(ledger)
            key = "" if reason else _difference(place, ledger)
            if key:
                close_dead_runs(context.instance, ledger)
                reason = under_way(context.instance, ledger)
        if reason:
            yield dg.SkipReason(reason)
            return
        decision = decide(key, Cursor.read(context.cursor), now())
        context.update_cursor(decision.cursor.text())
        if not decision.ask:
            yield dg.SkipReason("差异已发起过处理，稍后重试。" if key else "当前发布与输入一致，或该候选已被门禁拒绝。")
            return
        tags = {KEY_TAG: key, keys.SENSOR_TAG: heartbeat.INPUTS_SENSOR}
        yield dg.RunRequest(run_key=f"inputs-{decision.run_key}-{now():%Y%m%dT%H%M%S}", tags=tags)

    return inputs_changed


def _keep_warm(context: dg.SensorEvaluationContext, home: Home) -> None:
    try:
        warm.ensure(home)
    except OSError as error:
        # Without it runs only start more slowly.
        context.log.warning(f"预热进程无法启动：{error}")


def _difference(home: Home, ledger: Ledger) -> str:
    """A name for what the next run would do that no event announces; '' when there is nothing to do."""
    versions = contract_versions()
    if unread := ledger.unread(versions):
        return sha256_bytes(canonical_json([versions, [row.delivery_id for row in unread]]))[:16]
    inputs = find_inputs(home, ledger)
    if not inputs.active or inputs.unchanged or _was_refused(home, inputs.candidate_id):
        return ""
    return sha256_bytes(canonical_json([inputs.candidate_id, rules_version(), code_digest()]))[:16]


def _was_refused(home: Home, candidate_id: str) -> bool:
    """Whether the gate already said no to this candidate under these rules: asking again cannot change that."""
    path = home.candidates / candidate_id / VERDICT_FILE
    if not path.is_file():
        return False
    verdict = Verdict.from_json(path.read_bytes())
    return not verdict.passed and verdict.rules_version == rules_version()
