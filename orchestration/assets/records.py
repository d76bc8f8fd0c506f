"""The snapshots and records assets (two a feed) and the active set.

What belongs here: their definitions and metadata. What does not: taking in (`sources.intake`).
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from dagster import (
    AssetExecutionContext,
    AssetObservation,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    Output,
    ResourceParam,
    TableColumn,
    TableSchema,
    asset,
    multi_asset,
)

from orchestration import keys, steps
from orchestration.guard import guarded
from orchestration.steps import Workbench
from sources import contract
from sources.contract import Contract
from sources.intake import IntakeReport
from warehouse.records import RECORD_SCHEMAS, DeliveryRow, feed_tables


def build_records_assets(words: Mapping[str, Mapping[str, str]]) -> list[AssetsDefinition]:
    """One multi-asset with two specs a feed, originals and records, and the active set behind it. `words`: record table
    -> column -> what it says."""
    contracts = [contract.load(feed) for feed in contract.feeds()]

    specs = [spec for found in contracts for spec in (_snapshots(found), _spec(found, words))]

    @multi_asset(name="intake", specs=specs, can_subset=False)
    def intake(
        context: AssetExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[MaterializeResult[None]]:
        """Take in everything that waits; one scan and one set of readers for all feeds."""
        with guarded(context.op_execution_context, "intake"):
            report = steps.take_in(workbench, build_follows=True)
        for problem in report.problems:
            context.log.warning(problem)
        for found in contracts:
            yield MaterializeResult(
                asset_key=keys.snapshots_key(found.feed), metadata=_archive_metadata(found.feed, report, workbench)
            )
            yield MaterializeResult(
                asset_key=keys.records_key(found.feed), metadata=_intake_metadata(found.feed, report, workbench)
            )

    return [intake, _active_set([keys.records_key(found.feed) for found in contracts])]


def _snapshots(found: Contract) -> AssetSpec:
    return AssetSpec(
        keys.snapshots_key(found.feed),
        group_name=keys.INTAKE_GROUP,
        kinds={"file"},
        owners=[keys.OWNER],
        description=(
            f"{found.info.title_zh}：报送原件，先按 SHA-256 存档，再作任何读取。\n\n"
            f"Originals of the feed `{found.feed}`, archived under their hash before anything is read."
        ),
    )


def _archive_metadata(feed: str, report: IntakeReport, bench: Workbench) -> dict[str, MetadataValue]:
    rows = [row for row in report.deliveries if row.feed == feed]
    return {
        "dagster/row_count": MetadataValue.int(sum(row.rows_in for row in rows)),
        "snapshots": MetadataValue.int(len({row.sha256 for row in rows})),
        "archive": MetadataValue.path(str(bench.home.archive)),
    }


def _spec(found: Contract, words: Mapping[str, Mapping[str, str]]) -> AssetSpec:
    tables = "、".join(feed_tables(found.feed))
    return AssetSpec(
        keys.records_key(found.feed),
        deps=[keys.snapshots_key(found.feed)],
        group_name=keys.INTAKE_GROUP,
        kinds={"python", "parquet"},
        owners=[keys.OWNER],
        code_version=found.version,
        description=(
            f"{found.info.title_zh}：按数据约定 {found.version} 读入的规范记录（{tables}）。\n\n"
            f"Typed records of the feed `{found.feed}`, read under its contract; rows that break it are quarantined."
        ),
        metadata={
            "contract": f"sources/feeds/{found.feed}.odcs.yaml",
            "dagster/column_schema": _schema(found.feed, words),
        },
    )


def _schema(feed: str, words: Mapping[str, Mapping[str, str]]) -> TableSchema:
    """Columns of the feed's record tables, with what dbt's sources say; of a table no model reads they say nothing."""
    return TableSchema(
        [
            TableColumn(f"{table.split('__', 1)[1]}.{column.name}", str(column.type), said.get(column.name))
            for table in feed_tables(feed)
            for said in [words.get(table, {})]
            for column in RECORD_SCHEMAS[table]
        ]
    )


def _intake_metadata(feed: str, report: IntakeReport, bench: Workbench) -> dict[str, MetadataValue]:
    rows = [row for row in report.deliveries if row.feed == feed]
    return {
        "dagster/row_count": MetadataValue.int(sum(row.rows_accepted for row in rows)),
        "deliveries": MetadataValue.int(len(rows)),
        "refused": MetadataValue.int(sum(row.status == "refused" for row in rows)),
        "rows_in": MetadataValue.int(sum(row.rows_in for row in rows)),
        "rows_quarantined": MetadataValue.int(sum(row.rows_quarantined for row in rows)),
        "receipts": MetadataValue.path(str(bench.home.receipts / feed)),
    }


def _active_set(upstream: Iterable[object]) -> AssetsDefinition:
    @asset(
        key=keys.ACTIVE_SET,
        deps=list(upstream),  # type: ignore[arg-type]
        group_name=keys.CANDIDATE_GROUP,
        kinds={"python"},
        owners=[keys.OWNER],
        output_required=False,
        description=(
            "采用的报送件：每个（类别、区域、年度、部分）最新的一件。与当前发布相同则“无变化，未构建”，其后各步跳过。\n\n"
            "The deliveries the next candidate is made from. When they would only repeat the current release, nothing "
            "is produced and everything downstream is skipped."
        ),
    )
    def active_set(
        context: AssetExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[Output[None] | AssetObservation]:
        inputs = steps.choose_inputs(workbench)
        if inputs.repeats is not None:
            context.log.info("无变化，未构建")
            release_id = inputs.repeats.release_id
            yield AssetObservation(keys.ACTIVE_SET, description="无变化，未构建", metadata={"release_id": release_id})
            return
        yield Output(None, metadata={**_counts(inputs.active), "candidate_id": inputs.candidate_id})

    return active_set


def _counts(active: Iterable[DeliveryRow]) -> dict[str, MetadataValue]:
    found = list(active)
    per_feed = Counter(row.feed for row in found)
    counts = {f"deliveries/{feed}": MetadataValue.int(number) for feed, number in sorted(per_feed.items())}
    return {"dagster/row_count": MetadataValue.int(len(found)), **counts}
