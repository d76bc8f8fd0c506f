"""The job that clears away under the retention policy, for the schedule.

What belongs here: the Dagster side of it. What does not: what goes (`warehouse.retention`), in which order
(`orchestration.pruning`).
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections import Counter
from typing import Final

import dagster as dg

from orchestration import keys
from orchestration.pruning import KIND_ZH, prune
from orchestration.resources import HomeResource

PERSON: Final = "retention_weekly"


def build_retention_job() -> dg.JobDefinition:
    """One step: prune; waits for a run under way as long as the home's resource says."""

    @dg.op(
        name="clear_away",
        description="按留存规则清理，并记入台账。 Clears away what the policy no longer keeps; the ledger says what.",
    )
    def clear_away(context: dg.OpExecutionContext, home: HomeResource) -> None:
        place = home.home()
        if not place.root.is_dir():
            context.log.info(f"状态目录 {place.root} 尚不存在，无可清理。")
            return
        found = prune(place, context.instance, person=PERSON, wait=home.lock_wait_seconds)
        counts = Counter(item.kind for item in found.entries)
        told = {KIND_ZH[kind]: number for kind, number in sorted(counts.items())}
        context.add_output_metadata({**told, "bytes": sum(item.bytes for item in found.entries)})

    @dg.job(
        name=keys.RETENTION_JOB,
        executor_def=dg.in_process_executor,
        description="按留存规则清理（规则见 retention.yaml）。 Clears away under the retention policy.",
    )
    def retention_job() -> None:
        clear_away()

    return retention_job
