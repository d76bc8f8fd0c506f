"""A small finance table in any SQL database, as a finance office would keep it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from warehouse.ledger_tables import with_driver

metadata = sa.MetaData()
TABLE = sa.Table(
    "education_finance_line",
    metadata,
    sa.Column("年度", sa.Integer),
    sa.Column("单位代码", sa.Text),
    sa.Column("单位名称", sa.Text),
    sa.Column("学校标识码", sa.Text),
    sa.Column("地区代码", sa.Text),
    sa.Column("学校类别代码", sa.Text),
    sa.Column("表号", sa.Text),
    sa.Column("行次", sa.Integer),
    sa.Column("项目", sa.Text),
    *(sa.Column(f"金额{n}", sa.Text().with_variant(sa.Numeric(18, 2), "postgresql")) for n in range(1, 9)),
    sa.Column("updated_at", sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")),
)


def line(area: str, year: int, unit: str, number: int, amount: str = "12.50", **changes: Any) -> dict[str, Any]:
    return {
        "年度": year, "单位代码": unit, "单位名称": f"单位{unit}", "学校标识码": "3150000001", "地区代码": area,
        "学校类别代码": "61", "表号": "jz_3", "行次": number, "项目": "合计, \"其中\"",
        **{f"金额{n}": Decimal(amount) if n == 1 else None for n in range(1, 9)},
        "updated_at": "2024-11-01 08:00:00+08:00", **changes,
    }  # fmt: skip


def write(url: str, lines: Iterable[dict[str, Any]]) -> None:
    """Create the table if need be and add lines."""
    engine = sa.create_engine(with_driver(url))
    rows = list(lines)
    if engine.dialect.name == "sqlite":
        for row in rows:
            row["金额1"] = str(row["金额1"])
            row["updated_at"] = str(row["updated_at"]).split("+")[0]
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(TABLE.insert(), rows)
    engine.dispose()


def run(url: str, statement: str) -> None:
    engine = sa.create_engine(with_driver(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
