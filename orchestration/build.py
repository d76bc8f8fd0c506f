"""Composition: one function puts assets, checks, job and resources together; trials replace what they need to.

What belongs here: putting together. What does not: anything that runs. Loading needs no secret, no service and no home.
"""

from __future__ import annotations

from typing import Any

from dagster import AssetChecksDefinition, AssetSelection, Definitions, define_asset_job, in_process_executor

from orchestration import dbt, keys
from orchestration.assets.marts import Translator, build_marts_assets, mart_keys, source_columns
from orchestration.assets.publication import build_gate_checks, build_publication_assets
from orchestration.assets.records import build_records_assets
from orchestration.assets.timeliness import build_timeliness_checks
from orchestration.partitions import build_rereading
from orchestration.resources import default_resources
from orchestration.retention_job import build_retention_job
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors
from warehouse.errors import UsageError


def build_defs(**overrides: Any) -> Definitions:
    """The project's definitions. `overrides` replace resources by name (home, record, workbench).

    Raises UsageError for an unknown name, Fault when the dbt project cannot be parsed.
    """
    resources: dict[str, Any] = dict(default_resources())
    unknown = sorted(set(overrides) - set(resources))
    if unknown:
        raise UsageError(f"没有名为 {'、'.join(unknown)} 的资源。", f"可替换的资源：{'、'.join(resources)}。")
    manifest = dbt.manifest_path()
    translator = Translator()
    marts = mart_keys(manifest, translator)
    gate, timeliness = build_gate_checks(marts), build_timeliness_checks()
    return Definitions(
        assets=[
            *build_records_assets(source_columns(manifest)),
            *build_marts_assets(manifest, translator),
            *build_publication_assets(),
            build_rereading(),
        ],
        asset_checks=[gate, timeliness],
        jobs=[*_jobs(timeliness), build_retention_job()],
        sensors=build_sensors(resources["home"]),
        schedules=build_schedules(),
        resources={**resources, **overrides},
        # Steps share the workbench (lock, build under way), so a run is one process.
        executor=in_process_executor,
    )


def _jobs(timeliness: AssetChecksDefinition) -> list[Any]:
    of_time = AssetSelection.checks(timeliness)
    return [
        define_asset_job(
            keys.JOB,
            selection=AssetSelection.all() - AssetSelection.assets(keys.REREADING) - of_time,
            description="收取等待的报送件、构建、检查、发布；一次运行处理全部等待的报送件。"
            " Takes in all that waits, builds, judges, publishes.",
        ),
        define_asset_job(
            keys.REREADING_JOB,
            selection=AssetSelection.assets(keys.REREADING),
            description="按统计年度（可限区县）重读存档原件。 Reads archived originals again, by year and district.",
        ),
        define_asset_job(
            keys.TIMELINESS_JOB,
            selection=of_time,
            description="检查报送是否逾期、发布是否滞后。 Who is late, and is the release behind?",
        ),
    ]
