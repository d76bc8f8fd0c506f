"""`eduplan waive` and `eduplan gate`: what they write, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.cli import main
from warehouse.paths import Home
from warehouse.waivers import read_waivers

REQUEST = {
    "--rule": "fct_value.non_negative",
    "--scope": "area_code=500101 period=2022",
    "--max-rows": "3",
    "--reason": "校区合并",
    "--evidence": "渝教函〔2025〕1号",
    "--requested-by": "张三",
    "--approved-by": "李四",
}


@pytest.fixture(autouse=True)
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T12:00:00+08:00")


def waive(**changes: str) -> int:
    asked = REQUEST | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return main(["waive", *(part for pair in asked.items() for part in pair)])


def test_waive_writes_one_waiver_and_not_twice() -> None:
    assert waive() == 0
    (made,) = read_waivers(Home.from_env())
    assert made.scope == ({"area_code": "500101", "period": "2022"},)
    assert (made.max_rows, str(made.issued), str(made.expires)) == (3, "2025-09-30", "2025-10-30")
    assert waive() == 1


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"approved_by": "张三"}, 1, "同一个人"),
        ({"scope": "500101"}, 2, "豁免范围写法不对"),
        ({"scope": "area_code=*"}, 1, "不合规"),
        ({"rule": "fct_value.no_person_number"}, 1, "不得豁免"),
        ({"days": "400"}, 1, "范围过宽"),
        ({"days": "-1"}, 1, "早于签发日"),
    ],
)
def test_unsound_request_writes_nothing(
    capsys: pytest.CaptureFixture[str], changes: dict[str, str], code: int, word: str
) -> None:
    assert waive(**changes) == code
    assert word in "".join(capsys.readouterr().err.split())
    assert read_waivers(Home.from_env()) == ()


def test_rules_as_json_name_the_unguarded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "rules", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["rules"]) >= 90
    assert set(told["guards"]) == {"indicators", "marts", "unguarded"}


def test_self_test_needs_a_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "self-test"]) == 1
    assert "尚无发布" in capsys.readouterr().err
