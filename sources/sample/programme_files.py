"""Recognition decisions as they arrive: batches of messages as the connector snapshots them, and a back-catalogue.

Belongs here: files and the damage done to them. Does not belong here: what is decided (``programmes``).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sources.codelists import code_list
from sources.sample.damage import DamagedRow, choose, pick
from sources.sample.geography import CITY_CODE, areas
from sources.sample.programmes import LAST_CATALOGUE_YEAR, Event, events
from sources.sample.vocab import words
from warehouse.files import canonical_json

FEED = "programme_register"
CATALOGUE = "认定事项补录（2020年及以前）.csv"
_HEADER = words("事项编号 规划条目编号 对象类型 对象代码 对象名称 区县 级别 数量 决定 决定日期 文号")
_ABOVE = 2
_DAMAGE = ("programme.unknown_statement", "programme.bad_date", "programme.unknown_code")


@dataclass
class ProgrammesWritten:
    """What was written, and the events that are left without damaged rows."""

    rows: int = 0
    damaged: list[DamagedRow] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def write_programmes(years: Sequence[int], seed: int, dirt: float, folder: Path) -> ProgrammesWritten:
    """Write the back-catalogue and, for each year after it, one batch of messages."""
    written = ProgrammesWritten()
    old = [event for event in events(seed) if event.year <= LAST_CATALOGUE_YEAR]
    spoilt, lost = _spoilt(written, old, _rng(seed, LAST_CATALOGUE_YEAR), dirt)
    (folder / CATALOGUE).write_bytes(_catalogue(spoilt))
    _note(written, CATALOGUE, lost, _ABOVE, 0)
    for year in years:
        own = [event for event in events(seed) if event.year == year > LAST_CATALOGUE_YEAR]
        if not own:
            continue
        first = year * 100_000 + 1
        name = f"PROGRAMME_{first}-{first + len(own) - 1}.jsonl"
        spoilt, lost = _spoilt(written, own, _rng(seed, year), dirt)
        (folder / name).write_bytes(b"".join(_message(event, first + at) for at, event in enumerate(spoilt)))
        _note(written, name, lost, 0, year)
    return written


def _rng(seed: int, year: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, 43, year]))


def _spoilt(
    written: ProgrammesWritten, clean: Sequence[Event], rng: np.random.Generator, dirt: float
) -> tuple[list[Event], dict[int, str]]:
    """The events with some of them damaged, and the rule by place; the others are noted as left."""
    found = list(clean)
    lost: dict[int, str] = {}
    for at in pick(rng, len(found), dirt):
        lost[at] = choose(rng, _DAMAGE)
        found[at] = _broken(found[at], lost[at])
    written.rows += len(found)
    written.events += [event for at, event in enumerate(clean) if at not in lost]
    return found, lost


def _broken(event: Event, rule: str) -> Event:
    if rule == "programme.unknown_statement":
        return replace(event, target="box9.no_such_statement")
    return replace(event, decided_on="待定") if rule == "programme.bad_date" else replace(event, decision="研究中")


def _note(written: ProgrammesWritten, name: str, lost: dict[int, str], above: int, year: int) -> None:
    written.damaged += [
        DamagedRow(FEED, name, "", "", above + at + 1, rule, "damage", CITY_CODE, year) for at, rule in lost.items()
    ]


def _message(event: Event, sequence: int) -> bytes:
    """A message in the envelope the connector gives it."""
    data = {("statement_id" if name == "target" else name): value for name, value in vars(event).items()}
    envelope = {
        "data": data,
        "message_id": event.event_id,
        "sequence": sequence,
        "subject": f"programme.{event.object_kind}",
    }
    return canonical_json(envelope) + b"\n"


def _catalogue(old: Sequence[Event]) -> bytes:
    """UTF-8 with BOM: a title, the header, the decisions with Chinese labels, a note."""
    names = {area.code: area.name for area in areas()} | {CITY_CODE: "市本级"}
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["重庆市教育项目认定事项补录（合成样例数据）"])
    writer.writerow(_HEADER)
    for event in old:
        writer.writerow(_labelled(event, names))
    writer.writerow(["注：2020年12月31日及以前的决定。"])
    return buffer.getvalue().encode("utf-8-sig")


def _labelled(event: Event, names: dict[str, str]) -> list[str]:
    shown = vars(event) | {"area_code": names[event.area_code]}
    lists = {"object_kind": "recognition_object", "level": "recognition_level", "decision": "recognition_decision"}
    for name, of in lists.items():
        shown[name] = code_list(of).labels.get(shown[name], shown[name])
    return [str(value) for value in shown.values()]
