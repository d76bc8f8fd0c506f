"""A finding: what a parser has to say about a row, a sheet or a whole delivery, made from a rule of the contract.

What belongs here: the type, the filling of a rule's message, and the masking of shown values. What does not: the rules
(they stand in the contracts) and deciding when one applies (the parsers do).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sources.contract import Rule
from warehouse.masking import mask_personal

_SHOWN: Final = 40


@dataclass(frozen=True)
class Finding:
    """One finding. `row_no` is the row as a person sees it; `cell` is like 'I6'; `severity` is quarantine (the row),
    refusal (the delivery) or notice. `masked_value` and the messages never hold an identifier."""

    member: str
    sheet: str
    row_no: int | None
    column_name: str | None
    cell: str | None
    rule_id: str
    severity: str
    message_zh: str
    remedy_zh: str
    masked_value: str | None


def mask(value: object, *, personal: bool = False) -> str:
    """A cell value fit to be shown: short, one line, identifiers blacked out; personal values only by their length."""
    text = "" if value is None else str(value)
    if personal:
        return f"（{len(text)}个字符，不予显示）" if text else "（空）"
    text = "".join(character if character.isprintable() else " " for character in text)
    text = mask_personal(text)
    if not text.strip():
        return "（空）"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def finding(
    rule: Rule,
    *,
    member: str = "",
    sheet: str = "",
    row: int | None = None,
    column: str | None = None,
    cell: str | None = None,
    value: object = "",
    detail: object = "",
    personal: bool = False,
) -> Finding:
    """Fill a rule's message. `personal=True` shows nothing of the value but its length."""
    shown = mask(value, personal=personal)
    message = rule.message_zh.format(
        sheet=mask(sheet),
        row="" if row is None else row,
        column=mask(column) if column else "",
        value=shown,
        detail=_detail(detail),
    )
    return Finding(
        member=mask_personal(member),
        sheet=sheet,
        row_no=row,
        column_name=column,
        cell=cell,
        rule_id=rule.id,
        severity=rule.severity,
        message_zh=message,
        remedy_zh=rule.remedy_zh,
        masked_value=shown if value not in {"", None} else None,
    )


def _detail(detail: object) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(detail))
    text = mask_personal(text)
    return text if len(text) <= 400 else f"{text[:400]}…"
