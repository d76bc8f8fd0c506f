"""The typed records every parser writes and every model reads: one home for their exact schemas, and a delivery's row.

What belongs here: Arrow schemas of record tables and of the quarantine, and `DeliveryRow`. What does not: how a source
file is laid out (`sources/feeds/`), and how records are stored (`sources.intake`) or read (`warehouse.candidate`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa

from warehouse.agreed_tables import agreed_tables
from warehouse.errors import Fault
from warehouse.paths import package_root

_TEXT: Final = pa.string()
_INT: Final = pa.int32()
_BOOL: Final = pa.bool_()
_DATE: Final = pa.date32()
_FIGURE: Final = pa.decimal128(18, 4)
_YUAN: Final = pa.decimal128(18, 2)


def _fields(kind: pa.DataType, names: str, *, null: bool = False) -> list[pa.Field[Any]]:
    return [pa.field(name, kind, nullable=null) for name in names.split()]


# Where a row came from: the delivery, the path inside a zip ('' otherwise), the sheet ('' for CSV) and the 1-based row.
LINEAGE: Final = [*_fields(_TEXT, "delivery_id member sheet"), *_fields(_INT, "row_no")]

_WRITTEN: Final[dict[str, pa.Schema]] = {
    "school_census__school": pa.schema(
        [
            *_fields(_INT, "stat_year form_year"),
            *_fields(_TEXT, "area_code school_code school_name school_type_code organiser_code"),
            *_fields(_TEXT, "urban_rural_code address_code"),
            *_fields(_TEXT, "kindergarten_grade", null=True),
            *_fields(_BOOL, "inclusive_private group_schooling district_schooling ethnic_school", null=True),
            *LINEAGE,
        ]
    ),
    "school_census__figure": pa.schema(
        [
            *_fields(_INT, "stat_year form_year"),
            *_fields(_TEXT, "area_code school_code form"),
            *_fields(_INT, "line_no column_no"),
            *_fields(_TEXT, "measure", null=True),
            *_fields(_FIGURE, "value"),
            *_fields(_TEXT, "source_cell"),
            *LINEAGE,
        ]
    ),
    "teacher_register__teacher": pa.schema(
        [
            *_fields(_INT, "stat_year"),
            *_fields(_TEXT, "area_code school_code person_key post_kind post_category"),
            *_fields(_TEXT, "sex", null=True),
            *_fields(_INT, "age", null=True),
            *_fields(_BOOL, "id_valid"),
            *_fields(_TEXT, "education title", null=True),
            *_fields(_TEXT, "teaching_stage"),
            *_fields(_TEXT, "certificate_stage subject backbone_level", null=True),
            *_fields(_BOOL, "dual_qualified professional_course pe_music_art", null=True),
            *LINEAGE,
        ]
    ),
    "education_finance__line": pa.schema(
        [
            *_fields(_INT, "fiscal_year"),
            *_fields(_TEXT, "area_code unit_code unit_name school_code school_kind_code form"),
            *_fields(_INT, "line_no"),
            *_fields(_TEXT, "item"),
            *_fields(_YUAN, " ".join(f"amount_{n}" for n in range(1, 9)), null=True),
            *_fields(pa.timestamp("us"), "updated_at"),
            *LINEAGE,
        ]
    ),
    "official_figures__figure": pa.schema(
        [
            *_fields(_TEXT, "indicator_id", null=True),
            *_fields(_TEXT, "indicator_zh level_zh area_code"),
            *_fields(_INT, "stat_year", null=True),
            *_fields(_TEXT, "ref_period"),
            *_fields(_FIGURE, "value"),
            *_fields(_TEXT, "unit_zh source confidence note"),
            *LINEAGE,
        ]
    ),
    # `original`: the measured cells as written, with their units, as canonical JSON.
    "population__resident": pa.schema(
        [
            *_fields(_INT, "stat_year"),
            *_fields(_TEXT, "area_code version"),
            *_fields(_INT, "age_from"),
            *_fields(_INT, "age_to", null=True),
            *_fields(_INT, "residents"),
            *_fields(_DATE, "published_on", null=True),
            *_fields(_TEXT, "original"),
            *LINEAGE,
        ]
    ),
    "population__attainment": pa.schema(
        [
            *_fields(_INT, "stat_year"),
            *_fields(_TEXT, "area_code version"),
            *_fields(_INT, "age_group_from"),
            *_fields(_INT, "age_group_to", null=True),
            *_fields(_TEXT, "attainment"),
            *_fields(_INT, "residents"),
            *_fields(_DATE, "published_on", null=True),
            *_fields(_TEXT, "original"),
            *LINEAGE,
        ]
    ),
    "higher_education__enrolment": pa.schema(
        [
            *_fields(_INT, "stat_year"),
            *_fields(_TEXT, "institution_code institution_name institution_kind level discipline"),
            *_fields(_INT, "entrants", null=True),
            *_fields(_INT, "enrolled"),
            *_fields(_INT, "graduates", null=True),
            *_fields(_DATE, "reported_on", null=True),
            *_fields(_TEXT, "original"),
            *LINEAGE,
        ]
    ),
    "higher_education__staff": pa.schema(
        [
            *_fields(_INT, "stat_year"),
            *_fields(_TEXT, "institution_code institution_name institution_kind title"),
            *_fields(_INT, "full_time_teachers"),
            *_fields(_INT, "professional_teachers dual_qualified", null=True),
            *_fields(_DATE, "reported_on", null=True),
            *_fields(_TEXT, "original"),
            *LINEAGE,
        ]
    ),
    "fiscal_accounts__account": pa.schema(
        [
            *_fields(_INT, "fiscal_year"),
            *_fields(_TEXT, "area_code status"),
            *_fields(_YUAN, "general_budget_spending budget_education_spending"),
            *_fields(_YUAN, "education_operating capital_construction education_surcharge", null=True),
            *_fields(_YUAN, "fiscal_education_funds education_appropriation recurrent_revenue", null=True),
            *_fields(_YUAN, "civil_servant_pay teacher_pay", null=True),
            *_fields(_TEXT, "original"),
            *LINEAGE,
        ]
    ),
    # One of statement_id and project_code is given; objects that are persons keep neither code nor name.
    "programme_register__event": pa.schema(
        [
            *_fields(_TEXT, "event_id"),
            *_fields(_TEXT, "statement_id project_code", null=True),
            *_fields(_TEXT, "object_kind object_code object_name area_code level"),
            *_fields(_INT, "quantity"),
            *_fields(_TEXT, "decision"),
            *_fields(_DATE, "decided_on"),
            *_fields(_TEXT, "document_no"),
            *_fields(_INT, "sequence", null=True),
            *LINEAGE,
        ]
    ),
}

# The tables above, and those of further feeds as their contracts describe them.
RECORD_SCHEMAS: Final[dict[str, pa.Schema]] = _WRITTEN | agreed_tables(
    package_root() / "sources" / "feeds", known={name.split("__", 1)[0] for name in _WRITTEN}, lineage=LINEAGE
)

WITHDRAWN: Final = "withdrawn"

# The part of a delivery that speaks for one school only: it lies over the district's delivery (part ''), whose rows of
# that school then do not count.
SCHOOL_PART: Final = "school:"

# One row a finding; only `masked_value` shows anything of the cell, and never an identifier.
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        *_fields(_TEXT, "delivery_id member sheet"),
        *_fields(_INT, "row_no", null=True),
        *_fields(_TEXT, "column_name cell", null=True),
        *_fields(_TEXT, "rule_id severity message_zh remedy_zh"),
        *_fields(_TEXT, "masked_value", null=True),
    ]
)

# What reading a delivery comes to, and what its office or ours may make of it afterwards.
STATUSES: Final = ("accepted", "partly", "refused", WITHDRAWN)


@dataclass(frozen=True)
class DeliveryRow:
    """One delivery as read under one contract version.

    `period` is the statistical or fiscal year (0: all), `tables` maps record table -> path relative to the home,
    rows_in = rows_accepted + rows_quarantined always. Raises Fault when these do not hold.
    """

    delivery_id: str
    feed: str
    area_code: str
    period: int
    part: str
    sha256: str
    file_name: str
    submitter: str
    reported_on: date | None
    received_at: datetime
    status: str
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    contract_version: str
    tables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise Fault(f"报送件 {self.delivery_id} 的状态“{self.status}”不在约定之内。")
        if self.rows_in != self.rows_accepted + self.rows_quarantined or min(self.rows_accepted, self.rows_in) < 0:
            raise Fault(
                f"报送件 {self.delivery_id} 行数对不上：收到 {self.rows_in} 行，"
                f"接收 {self.rows_accepted} 行，隔离 {self.rows_quarantined} 行。"
            )
        if self.received_at.tzinfo is None:
            raise Fault(f"报送件 {self.delivery_id} 的收到时间没有时区。")

    @property
    def counts(self) -> bool:
        """True when it was taken in, in whole or in part: neither refused nor withdrawn."""
        return self.status in ("accepted", "partly")

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What a correction supersedes: (feed, area_code, period, part)."""
        return (self.feed, self.area_code, self.period, self.part)

    @property
    def school_code(self) -> str | None:
        """The one school it speaks for, None for every other delivery."""
        return self.part.removeprefix(SCHOOL_PART) if self.part.startswith(SCHOOL_PART) else None

    @property
    def lies_over(self) -> tuple[str, str, int, str] | None:
        """The key of the district's delivery that a single school's lies over, None for every other delivery."""
        return None if self.school_code is None else (self.feed, self.area_code, self.period, "")


def feed_tables(feed: str) -> list[str]:
    """The record tables of a feed, in the order of RECORD_SCHEMAS."""
    return [name for name in RECORD_SCHEMAS if name.split("__", 1)[0] == feed]


def check_schema(table: str, actual: pa.Schema) -> None:
    """Raise Fault unless `actual` has exactly the columns and types of the record table, in order."""
    expected = RECORD_SCHEMAS.get(table)
    if expected is None:
        raise Fault(f"没有名为 {table} 的记录表。")
    if expected.names == actual.names and expected.types == actual.types:
        return
    differing = sorted(set(_signature(expected)) ^ set(_signature(actual)))
    raise Fault(f"记录表 {table} 的列或类型与约定不符：{differing or actual.names}。")


def _signature(schema: pa.Schema) -> Iterable[tuple[str, str]]:
    return [(column.name, str(column.type)) for column in schema]
