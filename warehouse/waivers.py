"""Waivers: a named person lets named rows fail one rule for a while, and another one answers for it.

What belongs here: the shape of a waiver, its files in the home (`waivers/<id>.yaml`), and whether waivers cover what
failed. What does not: judging (`expectations.gate`) and rules that nobody may waive (`expectations.waiving`).
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from warehouse.clock import SHANGHAI
from warehouse.errors import Refused
from warehouse.files import canonical_json, sha256_bytes, write_atomic
from warehouse.masking import shows_number
from warehouse.paths import Home

LONGEST: Final = timedelta(days=366)
OBSERVED_MARK: Final = "（实际："
Words = Annotated[str, StringConstraints(min_length=2, strip_whitespace=True)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Value = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\s*%?]+$")]


class Waiver(BaseModel):
    """One waiver. `scope` lists rows by key columns and values (a row is in scope when all of one entry's keys agree),
    `max_rows` bounds how many failing rows it may cover; it holds from `issued` to the end of `expires`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(pattern=r"^w[a-z0-9][a-z0-9-]{2,40}$")]
    rule: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
    scope: tuple[dict[Key, Value], ...]
    max_rows: int = Field(ge=1)
    reason: Words
    evidence: Words
    requested_by: Words
    approved_by: Words
    issued: date
    expires: date

    @field_validator("scope")
    @classmethod
    def _narrow(cls, scope: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
        if not scope or not all(scope):
            raise ValueError("豁免没有写明适用于哪些行（scope），范围过宽")
        return scope

    @field_validator("reason", "evidence")
    @classmethod
    def _no_numbers_of_persons(cls, text: str) -> str:
        # It is published with every release that uses it, and a release that shows such a number is refused.
        if shows_number(text):
            raise ValueError("理由或证据中有身份证号或电话号码，会随发布公开；请删去后重新申请")
        return text

    @model_validator(mode="after")
    def _four_eyes_and_an_end(self) -> Waiver:
        if _person(self.requested_by) == _person(self.approved_by):
            raise ValueError("申请人与批准人是同一个人，不得自己批准自己的豁免")
        if self.expires < self.issued:
            raise ValueError("到期日早于签发日")
        if self.expires - self.issued > LONGEST:
            raise ValueError(f"有效期超过 {LONGEST.days} 天，范围过宽")
        return self

    def content(self) -> dict[str, Any]:
        """As plain JSON values, in field order."""
        return self.model_dump(mode="json")

    def standing(self, at: datetime) -> str | None:
        """Why it does not hold at this instant, in Chinese; None when it does."""
        today = at.astimezone(SHANGHAI).date()
        if today > self.expires:
            return f"豁免 {self.id} 已于 {self.expires} 到期"
        return f"豁免 {self.id} 自 {self.issued} 起才生效" if today < self.issued else None

    def covers(self, failing_key: str) -> bool:
        """Whether a failing row, as the gate names it (`key=value key=value（实际：…）`), is in scope."""
        named = read_key(failing_key)
        return named is not None and any(entry.items() <= named.items() for entry in self.scope)


def _person(name: str) -> str:
    """The name without the differences one can slip in by width, case or blanks."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_key(text: str) -> dict[str, str] | None:
    """Key columns and values of a failing row; None when the text can be read in more than one way."""
    head, *rest = text.split(OBSERVED_MARK)
    parts = [part.partition("=") for part in head.split(" ")]
    named = {name: value for name, _, value in parts}
    sound = len(rest) <= 1 and len(named) == len(parts) and all(mark for _, mark, _ in parts)
    return named if sound else None


def assess(
    rule_id: str, failing_keys: Sequence[str], waivers: Iterable[Waiver], at: datetime
) -> tuple[tuple[str, ...], str | None]:
    """Ids of the waivers that together cover every failing row of a rule at an instant, or () and why they do not.

    The problem is None when no waiver speaks of the rule at all.
    """
    asked = [waiver for waiver in waivers if waiver.rule == rule_id]
    if not asked:
        return (), None
    problems = [problem for waiver in asked if (problem := waiver.standing(at))]
    valid = [waiver for waiver in asked if waiver.standing(at) is None]
    covering = [next((waiver.id for waiver in valid if waiver.covers(key)), None) for key in failing_keys]
    counts = Counter(name for name in covering if name is not None)
    problems += [
        f"豁免 {waiver.id} 最多 {waiver.max_rows} 行，实际 {counts[waiver.id]} 行"
        for waiver in valid
        if counts[waiver.id] > waiver.max_rows
    ]
    outside = [key for key, name in zip(failing_keys, covering, strict=True) if name is None]
    if outside:
        problems.append(f"{len(outside)} 行不在有效豁免的范围内，例如 {outside[0]}")
    if not failing_keys:
        problems.append("规则没有列出不合格的行，不能豁免")
    if outside or not failing_keys or any(counts[waiver.id] > waiver.max_rows for waiver in valid):
        return (), "；".join(problems)
    return tuple(waiver.id for waiver in valid if counts[waiver.id]), None


# -- files ------------------------------------------------------------------------------------------------------------


def make_id(content: Mapping[str, Any]) -> str:
    """'w' and 10 hex digits over everything else a waiver says."""
    return "w" + sha256_bytes(canonical_json({name: value for name, value in content.items() if name != "id"}))[:10]


def parse(content: Mapping[str, Any], where: str) -> Waiver:
    """Check a waiver's content. Raises Refused naming `where` and what is wrong."""
    try:
        return Waiver.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        problems = "；".join(_problem(item) for item in error.errors())
        raise Refused(
            f"豁免 {where} 不合规：{problems}。", "请改正后重试；范围、证据、两个不同的人和期限缺一不可。"
        ) from error


def _problem(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{place}：{message}" if place else message


def read_waivers(home: Home) -> tuple[Waiver, ...]:
    """All waivers of the home, by id; expired ones too, which then excuse nothing. Raises Refused for one that is not
    sound: a waiver that cannot be trusted must not be passed over in silence."""
    return tuple(_read(path) for path in sorted(home.waivers.glob("*.yaml"))) if home.waivers.is_dir() else ()


def _read(path: Path) -> Waiver:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused(f"豁免文件 {path.name} 读不出来。", "请检查其 YAML 写法，或移走该文件。") from error
    if not isinstance(content, dict):
        raise Refused(f"豁免文件 {path.name} 不是键值结构。", "请用 eduplan waive 生成豁免。")
    waiver = parse(content, f"文件 {path.name}")
    if path.stem != waiver.id:
        raise Refused(f"豁免文件 {path.name} 里的编号是 {waiver.id}。", "文件名应为 <编号>.yaml。")
    return waiver


def write_waiver(home: Home, waiver: Waiver) -> Path:
    """Write `waivers/<id>.yaml` and return its path. Raises Refused when the id is taken, OSError."""
    path = home.waivers / f"{waiver.id}.yaml"
    if path.exists():
        raise Refused(f"豁免 {waiver.id} 已经存在。", "同一豁免不必重复申请；要改动请另立一份。")
    text = yaml.safe_dump(waiver.content(), allow_unicode=True, sort_keys=False)
    write_atomic(path, text.encode("utf-8"))
    return path
