"""The auditor's report: self-contained, escaped, masked, and of the verdict it was made for."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from expectations import ReportContext, render_report
from expectations.catalogue import Catalogue, catalogue
from expectations.gate import evaluate
from expectations.report import number
from expectations.report_data import KEYS_SHOWN
from expectations.rule_changes import record
from tests.unit.expectations import gate_candidate
from warehouse.candidate import Candidate
from warehouse.disclosure_policy import policy
from warehouse.errors import Fault
from warehouse.verdict import Verdict

SCRIPT = "<script>alert(1)</script>"
IDENTITY = "50010319900228123X"
HOSTILE = f"""
update marts.dim_school set school_name = '{SCRIPT}中心小学' where school_code = '2150000104';
update marts.dim_school set school_type_zh = null;
update marts.dim_area set short_name_zh = '"><img src=x onerror=alert(1)>' where area_code = '500103';
update marts.dim_area set area_level = '{SCRIPT}', area_name_zh = null where area_code = 'G1';
update marts.dim_indicator set name_zh = '{{{{ 7 * 7 }}}}{SCRIPT}' where headline_no = 1;
update records.delivery set file_name = '{SCRIPT}13800138000 {IDENTITY}.xlsx' where feed = 'official_figures';
update marts.mart_data_coverage set status = 'missing', delivery_id = null, rows_in = null
where feed = 'education_finance' and area_code = '500103' and period = 2022;
"""


class _Page(HTMLParser):
    """Tags with their attributes, and the text, of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def _candidate(database: Path) -> Candidate:
    return Candidate("c0123456789abcdef", database.parent, database, "f" * 64, {"code_digest": "c0de" * 16})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate_candidate.build(tmp_path_factory.mktemp("report") / "candidate.duckdb")


@pytest.fixture(scope="module")
def good(model: Path) -> tuple[Candidate, Verdict]:
    return _candidate(model), evaluate(_candidate(model), catalogue())


@pytest.fixture(scope="module")
def good_page(good: tuple[Candidate, Verdict]) -> str:
    return render_report(*good).decode("utf-8")


@pytest.fixture(scope="module")
def hostile(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Verdict]:
    database = Path(shutil.copyfile(model, tmp_path_factory.mktemp("hostile") / "candidate.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(HOSTILE)
    return _candidate(database), evaluate(_candidate(database), catalogue())


def test_page_loads_nothing_and_runs_nothing(hostile: tuple[Candidate, Verdict]) -> None:
    page = _Page(render_report(*hostile))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "foreignobject"}
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}}, tag
        if tag == "a":
            assert str(attributes["href"]).startswith("#")


@pytest.mark.parametrize("mark", ["http://", "https://", "//cdn", "url(", "@import", "javascript:"])
def test_page_names_no_address(good_page: str, mark: str) -> None:
    assert mark not in good_page


def test_policy_allows_exactly_the_style_of_the_page(good_page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", good_page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode("utf-8")).digest()).decode("ascii")
    policy = next(
        str(attributes["content"])
        for tag, attributes in _Page(good_page.encode("utf-8")).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert good_page.index("Content-Security-Policy") < good_page.index("<style>")


def test_hostile_names_come_out_as_text(hostile: tuple[Candidate, Verdict]) -> None:
    html = render_report(*hostile).decode("utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<img" not in html
    page = _Page(html.encode("utf-8"))
    assert "{{ 7 * 7 }}" in page.text
    assert "onerror" in page.text


def test_personal_numbers_are_masked(hostile: tuple[Candidate, Verdict]) -> None:
    html = render_report(*hostile).decode("utf-8")
    assert "13800138000" not in html
    assert IDENTITY not in html
    assert "〔已遮盖〕" in html


def test_refused_candidate_says_why(hostile: tuple[Candidate, Verdict]) -> None:
    candidate, verdict = hostile
    text = _Page(render_report(candidate, verdict)).text
    assert "✘ 不通过：不予发布" in text
    assert verdict.reasons()[0] in text
    assert "在 area 种子文件中补上名称。" in text
    failed = next(result for result in verdict.results if result.rule_id == "dim_school.type_known")
    assert failed.rows_failed > KEYS_SHOWN
    shown = sum(text.count(key) for key in failed.failing_keys)
    assert shown == KEYS_SHOWN
    assert f"共 total {failed.rows_failed}" in re.sub(r"共total", "共 total", re.sub(r"\s+", " ", text))


def test_good_candidate_shows_what_was_judged(good: tuple[Candidate, Verdict]) -> None:
    candidate, verdict = good
    page = _Page(render_report(candidate, verdict, ReportContext(previous_release_id="20250930T101500+0800-0a1b2c3d")))
    text = page.text
    for part in (
        "✔ 通过：可以发布",
        "Passed: may be published",
        candidate.candidate_id,
        candidate.fingerprint,
        verdict.rules_version,
        "c0de" * 16,
        "20250930T101500+0800-0a1b2c3d",
        "112.79",
        "石柱",
        "学年初报表",
        "eduplan verify",
        "（缺报）",
    ):
        assert part in text, part
    for result in verdict.results:
        assert result.rule_id in text
        assert result.meaning_zh in text


def test_coverage_names_the_year_that_is_lacking(hostile: tuple[Candidate, Verdict]) -> None:
    html = render_report(*hostile).decode("utf-8")
    row = next(row for row in html.split("<tr>") if '<span class="mono">500103</span>' in row)
    assert "✘ 2/3" in row
    assert row.rstrip().split("</span>")[-2:] != []
    assert "2022" in row


def test_both_languages_and_the_keyboard(good: tuple[Candidate, Verdict]) -> None:
    page = _Page(render_report(*good))
    radios = [attributes for tag, attributes in page.tags if tag == "input"]
    assert [radio["id"] for radio in radios] == ["lang-zh", "lang-en"]
    assert "checked" in radios[0]
    assert "checked" not in radios[1]
    assert sum(attributes.get("class") == "zh" for _, attributes in page.tags) == sum(
        attributes.get("class") == "en" for _, attributes in page.tags
    )
    scrolling = [attributes for tag, attributes in page.tags if attributes.get("class") == "scroll"]
    assert scrolling
    assert all(attributes["tabindex"] == "0" for attributes in scrolling)


def test_same_input_gives_the_same_bytes_and_a_small_page(good: tuple[Candidate, Verdict]) -> None:
    page = render_report(*good)
    assert render_report(*good) == page
    assert len(page) < 1_000_000


def test_verdict_of_another_candidate_is_refused(good: tuple[Candidate, Verdict]) -> None:
    candidate, verdict = good
    other = Candidate(candidate.candidate_id, candidate.path, candidate.database, "0" * 64, {})
    with pytest.raises(Fault):
        render_report(other, verdict)


def test_missing_mart_is_said_and_not_hidden(model: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(model, tmp_path / "gap.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "drop table marts.mart_data_coverage; drop table records.delivery;drop table marts.dim_target"
        )
    verdict = Verdict("c0123456789abcdef", "f" * 64, "r" * 64, 1, (), "2025-09-30T10:15:00+08:00")
    text = _Page(render_report(_candidate(database), verdict)).text
    assert text.count("此部分读不出来：") == 4
    assert "没有执行任何规则。" in text


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [(None, None, "—"), (1234567, None, "1,234,567"), (91.555, 1, "91.6"), (0.5, None, "0.50"), (3.0, None, "3")],
)
def test_numbers(value: float | None, decimals: int | None, expected: str) -> None:
    assert number(value, decimals) == expected


def test_loosened_and_removed_rules_are_shown_first(good: tuple[Candidate, Verdict]) -> None:
    by_id = {rule.id: rule for rule in catalogue().rules}
    stricter = by_id["fct_value.city_jump"].model_copy(update={"parameters": {"limit": 0.01}})
    gone = by_id["dim_area.not_empty"].model_copy(update={"id": "dim_area.gone"})
    before = [stricter if rule.id == stricter.id else rule for rule in catalogue().rules]
    book = Catalogue.model_construct(rules=(*before[1:], gone), conditions=catalogue().conditions)
    context = ReportContext(previous_release_id="r1", rules_before=record(book))
    html = render_report(*good, context).decode("utf-8")
    section = html[html.index('id="since"') : html.index('id="guards"')]
    text = re.sub(r"\s+", " ", _Page(section.encode("utf-8")).text)
    removed, loosened, added = (
        text.index(word) for word in ("dim_area.gone", "fct_value.city_jump", "dim_area.not_empty")
    )
    assert removed < loosened < added
    assert "放宽loosened" in text
    assert '<td class="mono">0.01</td><td class="mono">0.1</td>' in section
    unchanged = render_report(*good, ReportContext(previous_release_id="r1", rules_before=record(catalogue())))
    assert "规则、程度和阈值与上一次发布完全相同" in unchanged.decode("utf-8")


def test_inputs_that_came_and_went_are_named(good: tuple[Candidate, Verdict]) -> None:
    candidate, verdict = good
    inputs = {**candidate.inputs, "deliveries": [{"delivery_id": "dnew"}, {"delivery_id": "dkept"}]}
    now = Candidate(candidate.candidate_id, candidate.path, candidate.database, candidate.fingerprint, inputs)
    context = ReportContext(previous_release_id="r1", deliveries_before=frozenset({"dkept", "dgone"}))
    text = _Page(render_report(now, verdict, context)).text
    assert "+dnew" in text
    assert "−dgone" in text
    assert "dkept" not in text


def test_english_reader_finds_every_rule_in_english(good: tuple[Candidate, Verdict]) -> None:
    text = _Page(render_report(*good)).text
    for rule in catalogue().rules:
        assert rule.fill(rule.meaning_en) in text, rule.id


def test_suppression_symbol_is_explained(good: tuple[Candidate, Verdict]) -> None:
    text = _Page(render_report(*good)).text
    assert policy().symbol in text
    assert "mart_teacher_quality" in text[text.index("隐去的单元格") : text.index("三、覆盖情况")]


CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def _browse(folder: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [CHROMIUM, *quiet, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed; the parsed page is tested above all the same")
def test_hostile_names_stay_text_in_a_browser_and_the_page_prints(
    hostile: tuple[Candidate, Verdict], tmp_path: Path
) -> None:
    page = tmp_path / "index.html"
    # A school's name that would change the title, if any of it ever ran.
    armed = render_report(*hostile).replace(b"alert(1)", b"document.title=7")
    page.write_bytes(armed)
    address = page.as_uri()
    dom = _browse(tmp_path, "--dump-dom", address)
    assert "<title>教育规划监测数据质量报告" in dom
    assert "<script" not in dom
    assert "<img" not in dom
    assert "&lt;script&gt;document.title=7&lt;/script&gt;" in dom
    paper = tmp_path / "report.pdf"
    _browse(tmp_path, f"--print-to-pdf={paper}", "--no-pdf-header-footer", address)
    printed = paper.read_bytes()
    assert printed.startswith(b"%PDF-")
    # A4 in points, portrait.
    assert re.search(rb"/MediaBox \[0 0 59[45](\.\d+)? 84[12](\.\d+)?\]", printed)
