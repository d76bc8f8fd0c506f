"""Partitions: the statistics years, and rebuilding by year (and district) from the archived originals.

What belongs here: the partitions and the partitioned asset `rereading`. What does not: reading again
(`sources.rereading`). The candidate is one whole and has no partitions: it is a pure function of all records. So after
a rereading that changed anything `inputs_changed` asks for the run that follows; after one that did not, nothing does.
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from orchestration import keys, steps
from orchestration.guard import guarded
from orchestration.steps import Workbench
from sources import contract
from sources.rereading import selection

# Deliveries that cover all years at once (figures from bulletins, decisions) have period 0.
EVERY_YEAR: Final = "0"
_YEARS_AHEAD: Final = 20


class Scope(dg.Config):
    """Which part of the years: area codes and feeds; empty for all."""

    areas: list[str] = []  # noqa: RUF012 - a Dagster config is a pydantic model, which copies its defaults
    feeds: list[str] = []  # noqa: RUF012 - as above


def statistics_years() -> dg.StaticPartitionsDefinition:
    """Every statistical or fiscal year from the first of any contract on, and `0` for what belongs to none."""
    first = min(year for feed in contract.feeds() if (year := contract.load(feed).info.first_year))
    return dg.StaticPartitionsDefinition([EVERY_YEAR, *(str(first + number) for number in range(_YEARS_AHEAD))])


def build_rereading() -> dg.AssetsDefinition:
    """The asset that stands for reading a year's originals again; several years are one run."""

    @dg.asset(
        key=keys.REREADING,
        deps=[keys.snapshots_key(feed) for feed in contract.feeds()],
        partitions_def=statistics_years(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=keys.INTAKE_GROUP,
        kinds={"python", "parquet"},
        owners=[keys.OWNER],
        description=(
            "按统计年度重读存档原件：约定或解析程序更新后按新版本读入（旧记录保留），否则核对现有记录并修复损坏的文件。"
            "没有变化的一概不动；有变化时自动重新构建候选版本。\n\n"
            "Reads a year's archived originals again: under a new contract where there is one, else to confirm the "
            "records and to restore damaged ones. What did not change is not touched."
        ),
    )
    def rereading(
        context: dg.AssetExecutionContext, config: Scope, workbench: dg.ResourceParam[Workbench]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        wanted = selection([int(year) for year in context.partition_keys], config.areas, config.feeds)
        with guarded(context.op_execution_context, "intake"):
            report = steps.read_again(workbench, wanted)
        yield dg.MaterializeResult(
            metadata={
                "renewed": report.renewed,
                "confirmed": report.confirmed,
                "restored": dg.MetadataValue.json(report.restored),
                "problems": dg.MetadataValue.json(report.problems),
            }
        )

    return rereading
