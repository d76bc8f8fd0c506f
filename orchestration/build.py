"""Composition: one function puts assets, checks, job and resources together; trials replace what they need to.

What belongs here: putting together. What does not: anything that runs. Loading needs no secret, no service and no home.
"""

from __future__ import annotations

from typing import Any

from dagster import AssetSelection, Definitions, define_asset_job, in_process_executor

from orchestration import dbt, keys
from orchestration.assets.marts import Translator, build_marts_assets, mart_keys
from orchestration.assets.publication import build_gate_checks, build_publication_assets
from orchestration.assets.records import build_records_assets
from orchestration.resources import default_resources
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
    return Definitions(
        assets=[
            *build_records_assets(),
            *build_marts_assets(manifest, translator),
            *build_publication_assets(),
        ],
        asset_checks=[build_gate_checks(marts)],
        jobs=[
            define_asset_job(
                keys.JOB,
                selection=AssetSelection.all(),
                description="收取等待的报送件、构建、检查、发布；一次运行处理全部等待的报送件。"
                " Takes in all that waits, builds, judges, publishes.",
            )
        ],
        resources={**resources, **overrides},
        # Steps share the workbench (lock, build under way), so a run is one process.
        executor=in_process_executor,
    )
