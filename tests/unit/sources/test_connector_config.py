from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sources.connectors import plain_json
from sources.connectors.config import VARIABLE, RestSource, SftpSource, SourceSettings, configured, load
from sources.connectors.credentials import SecretRef, read_secret
from sources.connectors.names import escape, is_temporary, unescape
from warehouse.errors import UsageError
from warehouse.files import canonical_json
from warehouse.paths import package_root

FEEDS = ["population", "teacher_register"]

SFTP = """
  - kind: sftp
    name: office
    feed: teacher_register
    host: sftp.example
    user: eduplan
    known_hosts: known_hosts
    password: {env: OFFICE_PASSWORD}
"""
REST = """
  - {kind: rest, name: statistics, feed: population, url: "https://stats.example/api", token: {file: token}}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(tmp_path: Path, text: str) -> tuple[SourceSettings, ...]:
    return load(written(tmp_path, text), feeds=FEEDS)


def test_nothing_is_asked_unless_it_is_configured() -> None:
    assert configured({}) == ()


def test_sources_are_read_without_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_PASSWORD", raising=False)
    office, statistics = loaded(tmp_path, f"sources:{SFTP}{REST}")
    assert isinstance(office, SftpSource)
    assert (office.port, office.known_hosts) == (22, tmp_path / "known_hosts")
    assert isinstance(statistics, RestSource)
    assert statistics.token == SecretRef(file=tmp_path / "token")


def test_the_documented_example_is_valid_and_the_named_tests_exist(tmp_path: Path) -> None:
    page = (package_root() / "docs" / "connectors.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    feeds = ["school_census", "teacher_register", "higher_education", "population", "education_finance"]
    sources = load(written(tmp_path, example), feeds=[*feeds, "programme_register"])
    assert {source.kind for source in sources} == {"folder", "sftp", "s3", "rest", "sql", "nats"}
    named = set(re.findall(r"`(tests/[^`]+)`", page))
    assert [path for path in sorted(named) if not (package_root() / path).is_file()] == []
    assert len(named) >= 7


def test_the_file_is_found_through_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, "sources: []")
    assert configured({VARIABLE: str(path)}) == ()
    with pytest.raises(UsageError, match=VARIABLE):
        configured({VARIABLE: str(tmp_path / "missing.yaml")})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sources.yaml 有误"),
        ("sources: [", "YAML"),
        ("sources: []\nsources: []", "键不可重复"),
        ("sources: []\nmore: 1", "more"),
        (f"sources:{SFTP}    pasword: x", "pasword"),
        (f"sources:{SFTP}{SFTP}", "name 重复：office"),
        (f"sources:{SFTP.replace('office', 'population')}", "同名"),
        (f"sources:{SFTP.replace('teacher_register', 'teachers')}", "feed 不存在：teachers"),
        (f"sources:{SFTP.replace('sftp.example', '1')}", "host"),
        (f"sources:{SFTP.replace('kind: sftp', 'kind: ftp')}", "sources.0"),
        (f"sources:{SFTP}    port: '22'", "port"),
        (f"sources:{SFTP}    key: id", "必须且只能写一个"),
        (f"sources:{SFTP}    key_passphrase: {{env: X}}", "key_passphrase"),
        (f"sources:{SFTP.replace('known_hosts: known_hosts', 'path: /x')}", "known_hosts"),
        (f"sources:{SFTP.replace('{env: OFFICE_PASSWORD}', '{env: A, file: b}')}", "必须且只能写一个"),
        (f"sources:{SFTP.replace('{env: OFFICE_PASSWORD}', '{}')}", "必须且只能写一个"),
        (f"sources:{REST.replace('https', 'http')}", "须加密"),
        (f"sources:{REST.replace('stats.example', 'me@stats.example')}", "不可写账号"),
        (f"sources:{REST.replace('https', 'ftp')}", "地址须写成"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        f"sources:{SFTP.replace('{env: OFFICE_PASSWORD}', 'geheim')}",
        f"sources:{SFTP.replace('{env: OFFICE_PASSWORD}', '[geheim, {')}",
        f"sources:{SFTP}    password: geheim",
        f"sources:{SFTP}    geheim2: geheim\n    port: geheim",
        f"sources:{REST.replace('stats.example', 'eduplan:geheim@stats.example')}",
    ],
)
def test_a_secret_written_where_none_belongs_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    assert "geheim" not in str(caught.value).replace("geheim2", "")
    assert caught.value.__cause__ is None


def test_a_secret_comes_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "geheim")
    (tmp_path / "secret").write_text("geheim 密\n", encoding="utf-8")
    for ref, value in ((SecretRef(env="SOME_SECRET"), "geheim"), (SecretRef(file=tmp_path / "secret"), "geheim 密")):
        secret = read_secret(ref)
        assert secret.get_secret_value() == value
        assert "geheim" not in f"{secret} {secret!r} {ref!r}"


def test_a_secret_that_is_missing_or_unusable_is_told_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SECRET", raising=False)
    with pytest.raises(UsageError, match="环境变量 NO_SECRET"):
        read_secret(SecretRef(env="NO_SECRET"))
    path = tmp_path / "secret"
    with pytest.raises(UsageError, match=str(path)):
        read_secret(SecretRef(file=path))
    for content in (b"", b"\n", b"geheim\r\nX-More: 1", b"geheim\xff", b"geheim\x00"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=str(path)) as caught:
            read_secret(SecretRef(file=path))
        assert "geheim" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_secret_reference_is_no_place_for_a_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        SecretRef(env="geheim with blanks")
    assert "geheim" not in str(caught.value)


@given(st.binary())
def test_any_name_survives_its_spelling(name: bytes) -> None:
    spelt = escape(name)
    assert unescape(spelt) == name
    assert spelt.isprintable()
    spelt.encode("utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_its_spelling(name: str) -> None:
    spelt = escape(name, keep="")
    assert unescape(spelt).decode("utf-8") == name
    assert "/" not in spelt


def test_a_readable_name_stays_readable() -> None:
    assert escape("渝中区/在编 2023.csv") == "渝中区/在编 2023.csv"
    assert escape("a%b\n") == "a%25b%0A"
    assert escape("名单.csv".encode("gb18030")) == "%C3%FB%B5%A5.csv"


def test_temporary_names() -> None:
    names = ["a.csv", "a.PART", "~$a.xlsx", ".a", "Thumbs.db", "a.csv~", "part.xlsx", "a.crdownload"]
    assert [name for name in names if not is_temporary(name)] == ["a.csv", "part.xlsx"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_that_is_taken_is_taken_exactly(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(plain_json.loads(text)) == text


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"-Infinity", b"1e400", b'{"a":1,"a":1}', b"0.1234567890123456789", b"\xff", b"[" * 10**6],
)
def test_json_that_would_be_changed_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_json.loads(text)


@pytest.mark.parametrize("text", [b"1.50", b"1e3", b"0.1", b"-0.0", b"12345678901234567890"])
def test_numbers_keep_their_value(text: bytes) -> None:
    from decimal import Decimal

    assert Decimal(repr(plain_json.loads(text))) == Decimal(text.decode())
