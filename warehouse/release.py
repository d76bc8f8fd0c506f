"""Publication: the one function that may change what readers see, and it refuses without proof.

What belongs here: checking the proof, building the release folder, flipping `current`. What does not: judging
(`expectations/`), cleaning up after a crash (`warehouse.reconcile`), checking old releases (`warehouse.verify`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb
import pyarrow as pa

from warehouse import candidate as candidates
from warehouse import materiality
from warehouse.attestation import sign_head, sign_release
from warehouse.audit import mask_names, waiver_uses, write_audit
from warehouse.candidate import Candidate
from warehouse.changes import compare, next_version
from warehouse.clock import SHANGHAI, now
from warehouse.dictionary import contract, dictionary, read_docs
from warehouse.draft import Draft
from warehouse.errors import Fault, Refused, UsageError
from warehouse.evidence import value_lineage
from warehouse.files import (
    fsync_dir,
    fsync_tree,
    pretty_json,
    replace_symlink,
    sha256_bytes,
    sha256_file,
    unique_suffix,
)
from warehouse.fingerprint import fingerprint_of, table_digests, table_hashes
from warehouse.lease import Fence, held
from warehouse.ledger import Ledger, ReleaseRow
from warehouse.manifest import (
    BUILDING,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Release,
    current,
    list_files,
    read_release,
    releases,
)
from warehouse.marts_file import MARTS_FILE, Copied, MartColumns, add_to, copy_marts, prove_copy
from warehouse.materiality import Acknowledgement
from warehouse.names import NAMED_FEEDS, NameMarks, masked
from warehouse.paths import Home
from warehouse.program import program_digest
from warehouse.reconcile import settle_releases
from warehouse.scan import Searched, is_table, read_texts, shown
from warehouse.signing import PUBLIC_KEY, load_or_create, public_pem
from warehouse.unchanged import Made, Unchanged, since
from warehouse.verdict import Verdict
from warehouse.waived import Guards

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

__all__ = ["REPORT", "Release", "current", "publish", "releases"]

PUBLISH_LOCK: Final = "publish"
REPORT: Final = "quality/index.html"
VERDICT_FILE: Final = "quality/verdict.json"
_RESERVED_FOLDERS: Final = (("parquet",), ("csv",), ("contracts",))
_READ_ONLY: Final = 0o444
_STAMP: Final = "%Y%m%dT%H%M%S%z"


@dataclass(frozen=True)
class _Order:
    """What is to be published, with what, and on whose word."""

    candidate: Candidate
    verdict: Verdict
    verdict_digest: str
    artefacts: dict[str, bytes]
    guards: Guards
    names: NameMarks | None


@dataclass(frozen=True)
class _Plan:
    """Everything decided before the first file is written."""

    order: _Order
    release_id: str
    published_at: str
    previous: Release | None
    signer: CryptoSigner
    changes: dict[str, Any]
    acknowledgement: Acknowledgement | None
    lineage: pa.Table | None
    made: Made
    same: Unchanged


_Proof = TypeVar("_Proof")


def publish(
    home: Home,
    ledger: Ledger,
    candidate: Candidate,
    verdict: Verdict,
    *,
    artefacts: Mapping[str, bytes],
    fences: Sequence[Fence] = (),
    guards: Guards | None = None,
    names: NameMarks | None = None,
    lineage: Callable[[Candidate], pa.Table | None] = lambda candidate: value_lineage(candidate.database),
    draft: Callable[[Candidate], Draft | None] = lambda _: None,
) -> Release:
    """Publish exactly this candidate on the strength of exactly this verdict, or raise Refused saying why not.

    `artefacts` maps paths inside the release folder to contents and must hold the auditor's report
    (`quality/index.html`). `fences` are leases the caller holds and must still hold at the flip. `guards` (indicator ->
    rules) tell which values rest on a waived row; without them only rules about the indicator values count. `names`
    marks the names in the registers behind the candidate, for which the whole release is searched. `lineage` gives the
    candidate's value lineage and `draft` its tables, for a caller who has had them made before; a draft that does not
    fit is left to the caller. Publishing what `current` already shows, judged by the same rules, changes nothing.
    Killed at any point, `current` still names one whole release. Raises Refused, UsageError, Fault, OSError.
    """
    judged = verdict.to_json()
    digest = sha256_bytes(judged)
    files = _check_artefacts(artefacts, judged)
    with held(home, ledger, PUBLISH_LOCK) as own:
        settle_releases(home, ledger)
        _check_proof(ledger, candidate, verdict, digest)
        _check_names(candidate, names)
        standing = current(home)
        if standing is not None and _is_same(standing, candidate, verdict):
            _check_candidate(home, candidate, verdict, digest)
            return standing
        order = _Order(candidate, verdict, digest, files, guards or {}, names)
        # The engine looks whether the candidate says what was sealed while its release is written; it gets its name
        # only when that holds.
        with _meanwhile(lambda: _check_candidate(home, candidate, verdict, digest)) as proof:
            plan = _planned(home, ledger, order, standing, lineage(candidate))
            release = _build(home, ledger, plan, draft(candidate), lambda: _check_tables(plan, proof.result()))
        ledger.record_candidate(candidate.candidate_id, candidate.fingerprint)
        ledger.record_release(release.row(), fences=[*fences, own], flip=lambda: _flip(home, release))
        sign_head(home, ledger, plan.signer)
        return release


@contextmanager
def _meanwhile(check: Callable[[], _Proof]) -> Iterator[Future[_Proof]]:
    """Run a check beside the block. Whatever becomes of the block: when the check fails, that is what is raised."""
    with ThreadPoolExecutor(1) as pool:
        proof = pool.submit(check)
        try:
            yield proof
        finally:
            proof.result()


def _planned(home: Home, ledger: Ledger, order: _Order, standing: Release | None, found: pa.Table | None) -> _Plan:
    """`found`: the candidate's value lineage. Raises Refused, Fault, OSError."""
    candidate = order.candidate
    changes = compare(standing.path / MARTS_FILE if standing else None, candidate.database, found)
    told = _acknowledged(home, standing, candidate, changes)
    release_id, instant = _next_id(standing, candidate.fingerprint)
    made = _made(home, candidate, order.names)
    return _Plan(
        order=order,
        release_id=release_id,
        published_at=instant.isoformat(),
        previous=standing,
        signer=load_or_create(home),
        changes=changes,
        acknowledgement=told,
        lineage=found,
        made=made,
        same=since(standing, made, ledger.releases()),
    )


def _made(home: Home, candidate: Candidate, names: NameMarks | None) -> Made:
    return Made(_sealed_tables(home, candidate), program_digest(), names.digest() if names is not None else "")


def staying(home: Home, ledger: Ledger, candidate: Candidate) -> Unchanged:
    """What of the standing release can stand in one of this candidate, for a draft of it. Raises Fault, OSError."""
    return since(current(home), _made(home, candidate, None), ledger.releases())


def _sealed_tables(home: Home, candidate: Candidate) -> dict[str, str]:
    """Mart -> SHA-256 of what it says, as sealed: what is written rests on it, and gets its name when it is proven."""
    return candidates.table_contents(candidate) or table_hashes(
        table_digests(candidates.load(home, candidate.candidate_id).database)
    )


def _check_tables(plan: _Plan, proven: Mapping[str, str]) -> None:
    """Raise Refused unless the marts say, one by one, what the release was written for."""
    if proven != plan.made.tables:
        raise Refused(
            f"拒绝发布：候选 {plan.order.candidate.candidate_id} 的封存记录与其内容不一致。",
            "请删除该候选目录后重新运行。",
        )


def _is_same(standing: Release, candidate: Candidate, verdict: Verdict) -> bool:
    return (
        standing.candidate_id == candidate.candidate_id
        and standing.fingerprint == candidate.fingerprint
        and standing.rules_version == verdict.rules_version
    )


def _acknowledged(
    home: Home, standing: Release | None, candidate: Candidate, changes: Mapping[str, Any]
) -> Acknowledgement | None:
    """Who answers for changes that no delivery explains. Raises Refused when somebody must and nobody does."""
    if standing is None or _deliveries_differ(standing, candidate, changes):
        return None
    return materiality.check(home, candidate.candidate_id, candidate.fingerprint, standing.release_id, changes)


def _deliveries_differ(standing: Release, candidate: Candidate, changes: Mapping[str, Any]) -> bool:
    """True where nothing finer is known than that the two were made from different deliveries."""
    facts = changes["tables"].get(materiality.FACTS, {"changed": (), "removed": ()})
    unknown = any(item["deliveries"] is None for kind in ("changed", "removed") for item in facts[kind])
    return unknown and standing.manifest["inputs"]["deliveries"] != candidate.inputs["deliveries"]


# -- proof ------------------------------------------------------------------------------------------------------------


def _check_proof(ledger: Ledger, candidate: Candidate, verdict: Verdict, digest: str) -> None:
    """Whether there is a verdict that permits this; `digest`: the verdict's. Raises Refused."""
    name = candidate.candidate_id
    if verdict.candidate_id != name:
        raise Refused(f"拒绝发布：裁决针对的是候选 {verdict.candidate_id}，不是 {name}。", "请对本候选重新执行检查。")
    if reasons := verdict.reasons():
        raise Refused(f"拒绝发布：候选 {name} 未通过质量检查。" + "".join(reasons), "请按报告逐条处理后重新运行。")
    recorded = ledger.verdict_digest(name)
    if recorded is None:
        raise Refused(f"拒绝发布：台账中没有对候选 {name} 的裁决记录。", "裁决只能由质量检查（eduplan run）产生。")
    if recorded != digest:
        raise Refused(
            f"拒绝发布：对候选 {name} 的裁决与台账登记的不一致，裁决被改动过或已过时。", "请重新执行质量检查。"
        )
    _check_waivers(candidate, verdict)


def _check_names(candidate: Candidate, names: NameMarks | None) -> None:
    """A release made from registers is searched for their names: without marks of all of them there is none."""
    named = {item["delivery_id"] for item in candidate.inputs["deliveries"] if item["feed"] in NAMED_FEEDS}
    if missing := named - (names.deliveries if names is not None else frozenset()):
        raise Refused(
            f"拒绝发布：没有 {len(missing)} 件名册的姓名标记（如 {min(missing)}），无法核对发布内容中有没有姓名。",
            "请运行整个作业（eduplan run），不要单独调用发布。",
        )


def _check_waivers(candidate: Candidate, verdict: Verdict) -> None:
    """A waiver counts when the candidate was made with it and when it still holds at publication."""
    known = candidate.inputs.get("waivers", [])
    for waiver in verdict.waivers:
        if waiver.content() not in known:
            raise Refused(
                f"拒绝发布：裁决所用的豁免 {waiver.id} 不属于候选 {candidate.candidate_id}。",
                "请重新执行 eduplan run。",
            )
        if problem := waiver.standing(now()):
            raise Refused(f"拒绝发布：{problem}。", "请处理不合格的行，或申请新的豁免后重新运行。")


def _check_candidate(home: Home, candidate: Candidate, verdict: Verdict, digest: str) -> dict[str, str]:
    """Mart -> SHA-256 of what it says, found out here and now: by the file's bytes, and where these are not those that
    were sealed, by its rows. What is published is proven by its own rows (`prove_copy`). Raises Refused."""
    name = candidate.candidate_id
    sealed = candidates.load(home, name)
    digests = candidates.contents(sealed)
    content = fingerprint_of(digests)
    if not content == sealed.fingerprint == candidate.fingerprint:
        raise Refused(
            f"拒绝发布：候选 {name} 的内容在封存之后被改动（指纹应为 {sealed.fingerprint[:8]}，实为 {content[:8]}）。",
            "请删除该候选目录后重新运行。",
        )
    if verdict.fingerprint != content:
        raise Refused(
            f"拒绝发布：裁决所依据的内容指纹 {verdict.fingerprint[:8]} 与候选 {name} 的 {content[:8]} 不符。",
            "请对本候选重新执行检查。",
        )
    manifest = sealed.path / candidates.DBT_MANIFEST
    expected = candidates.read_seal(sealed.path).get("dbt_manifest_sha256")
    if not manifest.is_file() or sha256_file(manifest) != expected:
        raise Refused(f"拒绝发布：候选 {name} 的 dbt manifest 缺失，或在封存之后被替换。", "请重新运行构建。")
    _check_verdict_file(sealed.path / "verdict.json", digest)
    return table_hashes(digests)


def _check_verdict_file(path: Path, digest: str) -> None:
    # The bytes are what the digest is taken over; the file may still be written in another spelling of the same.
    data = path.read_bytes() if path.is_file() else None
    if data is not None and sha256_bytes(data) != digest and Verdict.from_json(data).digest() != digest:
        raise Refused("拒绝发布：候选目录中的裁决文件被改动，与登记的裁决不一致。", "请重新执行质量检查。")


def _check_artefacts(artefacts: Mapping[str, bytes], judged: bytes) -> dict[str, bytes]:
    if REPORT not in artefacts:
        raise UsageError(f"发布缺少质量报告 {REPORT}。", "请先由检查结果生成报告。")
    reserved = (MANIFEST_NAME, SIGNATURE_NAME, PUBLIC_KEY, MARTS_FILE, "data_dictionary.json", "changes.json")
    for name in artefacts:
        parts = PurePosixPath(name)
        outside = parts.is_absolute() or ".." in parts.parts or parts.as_posix() != name
        if outside or name in reserved or parts.parts[:1] in _RESERVED_FOLDERS:
            raise UsageError(f"附件路径不可用：{name!r}。", "请用发布目录内的相对路径，且不与固定文件重名。")
    files = dict(artefacts)
    if files.setdefault(VERDICT_FILE, judged) != judged:
        raise UsageError(f"附件 {VERDICT_FILE} 与裁决本身不一致。", "不必另外提供该文件，发布时会写入。")
    return files


# -- building ---------------------------------------------------------------------------------------------------------


def _next_id(standing: Release | None, content: str) -> tuple[str, datetime]:
    """An id later than the standing release's, also when the clock stepped back or stands still."""
    instant = now().replace(microsecond=0)
    if standing is not None:
        before = datetime.fromisoformat(standing.manifest["published_at"]).astimezone(SHANGHAI)
        instant = max(instant, before + timedelta(seconds=1))
    return f"{instant.strftime(_STAMP)}-{content[:8]}", instant


def _build(home: Home, ledger: Ledger, plan: _Plan, draft: Draft | None, prove: Callable[[], None]) -> Release:
    """Write the release; it gets its name only when `prove` has passed."""
    home.releases.mkdir(parents=True, exist_ok=True)
    work_dir = home.releases / f"{BUILDING}{plan.release_id}-{unique_suffix()}"
    try:
        marts = _marts(plan, draft, work_dir)
        _fill(home, ledger, plan, work_dir, marts)
        fsync_tree(work_dir)
        prove()
        work_dir.rename(home.releases / plan.release_id)
    finally:
        # Gone after the rename; otherwise what a failure left half built.
        shutil.rmtree(work_dir, ignore_errors=True)
    fsync_dir(home.releases)
    return read_release(home.releases / plan.release_id)


def _marts(plan: _Plan, draft: Draft | None, work_dir: Path) -> Copied:
    """Make the release's folder with its tables, of the draft where that is what would be written."""
    if draft is not None and draft.is_of(plan.order.candidate, plan.same) and draft.move(work_dir):
        return draft.copied
    work_dir.mkdir()
    return copy_marts(plan.order.candidate.database, work_dir, plan.same)


def _fill(home: Home, ledger: Ledger, plan: _Plan, work_dir: Path, marts: Copied) -> None:
    version = next_version(plan.previous.manifest["data_version"] if plan.previous else None, plan.changes)
    # The history is read from the ledger, which belongs to this thread.
    with ThreadPoolExecutor(1) as pool:
        documents = pool.submit(_write_documents, plan, work_dir, marts.columns, version)
        _add_audit(home, ledger, plan, work_dir, version)
        documents.result()
    before = _searched(plan.same, marts)
    # The engine proves the copy, and reads its texts, while all files are hashed and signed for.
    with ThreadPoolExecutor(2) as pool:
        proof = pool.submit(prove_copy, work_dir, plan.made.tables, plan.same)
        told = pool.submit(read_texts, work_dir, before, is_table)
        _write_manifest(ledger, plan, work_dir, marts, version)
        _check_exposures(plan, [*told.result(), *read_texts(work_dir, before, lambda path: not is_table(path))])
        proof.result()
    for path in work_dir.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o777 != _READ_ONLY:
            path.chmod(_READ_ONLY)


def _searched(same: Unchanged, marts: Copied) -> Searched:
    return Searched(marts.linked, same.tables, same.whole(MARTS_FILE)) if same.searched else Searched()


def _write_documents(plan: _Plan, work_dir: Path, columns: MartColumns, version: str) -> None:
    """Everything about the tables that is not a table: none of it rests on the history beside them."""
    _write_docs(plan, work_dir, columns, version)
    ends = {"from": plan.previous.release_id if plan.previous else None, "to": plan.release_id}
    (work_dir / "changes.json").write_bytes(pretty_json({**ends, **plan.changes}))
    for name, data in sorted(plan.order.artefacts.items()):
        path = work_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_without_names(plan, name, data))
    (work_dir / PUBLIC_KEY).write_bytes(public_pem(plan.signer))


def _write_manifest(ledger: Ledger, plan: _Plan, work_dir: Path, marts: Copied, version: str) -> None:
    """Name, hash and sign for all files: after all others are written."""
    files = list_files(work_dir)
    _check_linked(plan.same, marts.linked, files)
    manifest = _manifest(ledger, plan, files, version)
    content = pretty_json(manifest)
    (work_dir / MANIFEST_NAME).write_bytes(content)
    (work_dir / SIGNATURE_NAME).write_bytes(sign_release(plan.signer, manifest, content))


def _check_linked(same: Unchanged, linked: frozenset[str], files: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise Fault when a file that was linked was altered since: its new hash must not be signed."""
    if altered := sorted(name for name in linked if files[name]["sha256"] != same.files[name]):
        raise Fault(f"发布 {same.folder.name} 的文件 {altered[0]} 刚被改动。", "请执行 eduplan verify 查明原因。")


def _without_names(plan: _Plan, name: str, data: bytes) -> bytes:
    """The report with names of the registers blacked out (in file names, say); other files as they are."""
    if plan.order.names is None or name != REPORT:
        return data
    text = data.decode("utf-8")
    masked_text = masked(text, plan.order.names.names_in([text]))
    return data if masked_text == text else masked_text.encode()


def _check_exposures(plan: _Plan, texts: Collection[tuple[str, str, list[str]]]) -> None:
    """The last look at everything that would be published, but for what passed it before, for the same names by the
    same program. Raises Refused naming each place that shows a person."""
    if found := shown(texts, plan.order.names):
        raise Refused(
            f"拒绝发布：候选 {plan.order.candidate.candidate_id} 的发布内容中有 {len(found)} 处疑似个人信息："
            f"{'；'.join(item.line() for item in found)}。",
            "请找出该列所依据的报送件，更正后重新报送，或用 eduplan withdraw 撤回；这一条不能豁免。",
        )


def _add_audit(home: Home, ledger: Ledger, plan: _Plan, work_dir: Path, version: str) -> None:
    history = [*ledger.releases(), _coming_row(plan, version)]
    deliveries = ledger.deliveries()

    def add(connection: duckdb.DuckDBPyConnection, database: str) -> None:
        write_audit(
            connection,
            database,
            home=home,
            candidate=plan.order.candidate,
            verdict=plan.order.verdict,
            deliveries=deliveries,
            releases=history,
            guards=plan.order.guards,
            lineage=plan.lineage,
        )
        if plan.order.names is not None:
            mask_names(connection, database, plan.order.names)

    add_to(work_dir, add)


def _coming_row(plan: _Plan, version: str) -> ReleaseRow:
    return ReleaseRow(
        release_id=plan.release_id,
        candidate_id=plan.order.candidate.candidate_id,
        fingerprint=plan.order.candidate.fingerprint,
        verdict_digest=plan.order.verdict_digest,
        rules_version=plan.order.verdict.rules_version,
        data_version=version,
        manifest_sha256="",
        previous_release_id=plan.previous.release_id if plan.previous else "",
        published_at=plan.published_at,
    )


def _write_docs(plan: _Plan, work_dir: Path, columns: MartColumns, version: str) -> None:
    docs = read_docs(plan.order.candidate.path / candidates.DBT_MANIFEST, columns)
    (work_dir / "data_dictionary.json").write_bytes(pretty_json({"data_version": version, **dictionary(docs)}))
    (work_dir / "contracts").mkdir()
    for mart in docs:
        path = work_dir / "contracts" / f"{mart.name}.odcs.yaml"
        path.write_text(contract(mart, version=version), encoding="utf-8")


def _manifest(ledger: Ledger, plan: _Plan, files: Mapping[str, Any], version: str) -> dict[str, Any]:
    seq, head = ledger.journal_head()
    previous = plan.previous
    dbt = json.loads((plan.order.candidate.path / candidates.DBT_MANIFEST).read_bytes()).get("metadata", {})
    return {
        "release_id": plan.release_id,
        "published_at": plan.published_at,
        "data_version": version,
        "candidate_id": plan.order.candidate.candidate_id,
        "fingerprint": plan.order.candidate.fingerprint,
        "previous": {"release_id": previous.release_id, "manifest_sha256": previous.manifest_sha256}
        if previous
        else None,
        "journal": {"seq": seq, "hash": head},
        "signing": {"keyid": plan.signer.public_key.keyid, "public_key": PUBLIC_KEY, "envelope": SIGNATURE_NAME},
        "versions": {
            "code_digest": plan.order.candidate.inputs["code_digest"],
            "dbt": dbt.get("dbt_version"),
            "duckdb": duckdb.__version__,
            "rules": plan.order.verdict.rules_version,
        },
        "made": asdict(plan.made),
        "verdict": {
            "digest": plan.order.verdict_digest,
            "rules_version": plan.order.verdict.rules_version,
            "rules": len(plan.order.verdict.results),
            "failed": sorted(result.rule_id for result in plan.order.verdict.results if not result.passed),
            "judged_at": plan.order.verdict.judged_at,
        },
        "waivers": waiver_uses(plan.order.verdict),
        "acknowledgement": asdict(plan.acknowledgement) if plan.acknowledgement else None,
        "inputs": plan.order.candidate.inputs,
        "files": dict(files),
    }


def _flip(home: Home, release: Release) -> None:
    if home.current.exists() and not home.current.is_symlink():
        raise Fault(f"{home.current} 不是符号链接，无法切换发布。", "请把它移走后重试。")
    replace_symlink(home.current, f"{home.releases.name}/{release.release_id}")
