"""Verdict, the gate's results as asset checks, and the release.

What belongs here: their definitions and metadata. What does not: rules (`expectations/`) and the refusal to publish,
which lives inside `warehouse.release.publish`; the blocking check here is only the first belt.
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections.abc import Iterator, Mapping
from typing import Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
    multi_asset_check,
)

import expectations
from orchestration import dbt, keys, steps
from orchestration.assets.marts import MARTS_SCHEMA
from orchestration.guard import guarded
from orchestration.steps import Workbench
from warehouse.release import REPORT, Release
from warehouse.verdict import RuleResult, Verdict

_COLUMNS: Final = {
    "rule_id": "string",
    "severity": "string",
    "passed": "bool",
    "rows_checked": "int",
    "rows_failed": "int",
    "title_zh": "string",
    "observed": "string",
}


def build_publication_assets() -> list[AssetsDefinition]:
    """The verdict and the release."""

    @asset(
        key=keys.VERDICT,
        deps=[keys.CANDIDATE],
        group_name=keys.PUBLICATION_GROUP,
        kinds={"great_expectations"},
        owners=[keys.OWNER],
        check_specs=[
            AssetCheckSpec(
                keys.GATE_CHECK,
                asset=keys.VERDICT,
                blocking=True,
                description="裁决是否允许发布。Does the verdict permit publication?",
            )
        ],
        description=(
            "裁决：对这一个候选版本逐条执行发布规则的结果，绑定其内容指纹；不通过则不发布，原发布不受影响。\n\n"
            "The verdict of the gate on exactly this candidate, bound to its fingerprint. It fails closed."
        ),
    )
    def verdict(
        context: AssetExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[MaterializeResult[None]]:
        with guarded(context.op_execution_context, "judge"):
            found = steps.judge_with_isolation(workbench, dbt.build_again)
        report = steps.report_path(steps.latest_candidate(workbench))
        yield MaterializeResult(
            metadata={
                "passed": found.passed,
                "rules": len(found.results),
                "rules_version": found.rules_version,
                "report": MetadataValue.url(report.as_uri()),
            },
            check_results=[_conclusion(found)],
        )

    @asset(
        key=keys.RELEASE,
        deps=[keys.VERDICT],
        group_name=keys.PUBLICATION_GROUP,
        kinds={"duckdb", "parquet", "csv"},
        owners=[keys.OWNER],
        description=(
            "发布：不可改动的目录，含指标库、Parquet、CSV、质量报告和清单；`current` 一步切换到它。"
            "没有针对最新候选的通过裁决，单独运行本步也会被拒绝。\n\n"
            "The release. Refuses without a passing verdict for the latest candidate, however it is launched."
        ),
    )
    def release(
        context: AssetExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[MaterializeResult[None]]:
        with guarded(context.op_execution_context, "publish"):
            published = steps.publish(workbench)
        yield MaterializeResult(metadata=_release_metadata(published))

    return [verdict, release]


def build_gate_checks(marts: Mapping[str, AssetKey]) -> AssetChecksDefinition:
    """The gate's results on each mart that rules speak of, one check a mart, read from the verdict just reached."""
    judged = {_mart_of(rule.relation) for rule in expectations.rules()}
    checked = {name: key for name, key in marts.items() if name in judged}
    specs = [
        AssetCheckSpec(
            keys.GATE_CHECK,
            asset=key,
            additional_deps=[keys.VERDICT],
            description=f"发布规则在 {name} 上的结果。Results of the publication rules on {name}.",
        )
        for name, key in checked.items()
    ]

    @multi_asset_check(name="gate_by_mart", specs=specs, can_subset=True)
    def gate_by_mart(
        context: AssetCheckExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[AssetCheckResult]:
        wanted = {check.asset_key for check in context.selected_asset_check_keys}
        candidate = steps.latest_candidate(workbench)
        results = steps.recorded_verdict(candidate).results
        for name, key in checked.items():
            if key not in wanted:
                continue
            yield _of_mart(key, [result for result in results if _mart_of(result.mart) == name])

    return gate_by_mart


def _mart_of(relation: str) -> str:
    """`marts.dim_area` -> `dim_area`; other schemas are no marts."""
    schema, _, name = relation.rpartition(".")
    return name if schema == MARTS_SCHEMA else ""


def _conclusion(found: Verdict) -> AssetCheckResult:
    failed = [result for result in found.results if not result.passed]
    reasons = "\n".join(f"- {reason}" for reason in found.reasons())
    return AssetCheckResult(
        asset_key=keys.VERDICT,
        check_name=keys.GATE_CHECK,
        passed=found.passed,
        severity=AssetCheckSeverity.ERROR,
        description="允许发布" if found.passed else "不允许发布",
        metadata={"reasons": MetadataValue.md(reasons or "无"), "failed_rules": _table(failed)},
    )


def _of_mart(key: AssetKey, results: list[RuleResult]) -> AssetCheckResult:
    failed = [result for result in results if not result.passed]
    critical = not results or any(result.severity == "critical" or result.error is not None for result in failed)
    return AssetCheckResult(
        asset_key=key,
        check_name=keys.GATE_CHECK,
        # The catalogue promised rules on this mart: none is a failure.
        passed=bool(results) and not failed,
        severity=AssetCheckSeverity.ERROR if critical else AssetCheckSeverity.WARN,
        description=f"{len(results)} 条规则，{len(failed)} 条未通过",
        metadata={"rules": _table(results)},
    )


def _table(results: list[RuleResult]) -> MetadataValue:
    schema = TableSchema([TableColumn(name, kind) for name, kind in _COLUMNS.items()])
    records = [TableRecord({name: getattr(result, name) for name in _COLUMNS}) for result in results]
    return MetadataValue.table(records, schema)


def _release_metadata(found: Release) -> dict[str, MetadataValue]:
    return {
        "release_id": MetadataValue.text(found.release_id),
        "data_version": MetadataValue.text(str(found.manifest["data_version"])),
        "fingerprint": MetadataValue.text(found.fingerprint),
        "folder": MetadataValue.path(str(found.path)),
        "report": MetadataValue.url((found.path / REPORT).as_uri()),
        "files": MetadataValue.int(len(found.manifest["files"])),
    }
