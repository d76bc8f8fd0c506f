"""Names of assets, groups, tags and jobs: one home, so that assets, checks and trials agree.

Only names belong here.
"""

from __future__ import annotations

from typing import Final

from dagster import AssetKey

JOB: Final = "release_job"
REREADING_JOB: Final = "rereading_job"
TIMELINESS_JOB: Final = "timeliness_job"
RETENTION_JOB: Final = "retention_job"
# Tags of runs: who asked for them.
SENSOR_TAG: Final = "eduplan/asked_by"
SCHEDULE_TAG: Final = "eduplan/schedule"
# Until when (seconds since 1970) a run waits for more, so that events of one window make one release.
GATHER_TAG: Final = "eduplan/gather_until"
# The schedule under which databases are read whole, so that an edit no watermark shows is found.
FULL_COMPARISON: Final = "full_comparison"
OWNER: Final = "team:planning-office"

INTAKE_GROUP: Final = "intake"
CANDIDATE_GROUP: Final = "candidate"
PUBLICATION_GROUP: Final = "publication"

REREADING: Final = AssetKey("rereading")
ACTIVE_SET: Final = AssetKey("active_set")
CANDIDATE: Final = AssetKey("candidate")
VERDICT: Final = AssetKey("verdict")
RELEASE: Final = AssetKey("release")

GATE_CHECK: Final = "gate"


def snapshots_key(feed: str) -> AssetKey:
    """The asset that stands for the archived originals of a feed."""
    return AssetKey(["snapshots", feed])


def records_key(feed: str) -> AssetKey:
    """The asset that stands for the typed records of a feed."""
    return AssetKey(["records", feed])
