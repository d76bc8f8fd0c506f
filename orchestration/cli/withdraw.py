"""`eduplan withdraw`: take a delivery back, or let it count again.

What belongs here: arguments, and telling what counts from now on. What does not: recording it (`warehouse.ledger`) and
what counts (`warehouse.ledger.select_active`). Nothing is built: the next run does that.
"""

from __future__ import annotations

from typing import Final

from orchestration.cli.console import out, print_json
from orchestration.cli.main import OK
from sources import contract, intake
from sources.receipts import write_withdrawal
from warehouse.errors import Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.masking import mask_personal
from warehouse.paths import Home
from warehouse.records import WITHDRAWN, DeliveryRow

# Seconds to wait for an intake under way: it sweeps half-written receipts, and the letter is one while it is written.
_WAIT: Final = 60.0


def withdraw(delivery: str, *, reason: str, by: str, undo: bool, as_json: bool) -> int:
    """Record the decision and say what stands in the delivery's place. The same decision twice is recorded once.

    Raises UsageError for an empty reason or name, Refused for a delivery nobody knows or while an intake is under way
    (nothing is recorded then).
    """
    reason, by = mask_personal(reason.strip()), mask_personal(by.strip())
    if not reason or not by:
        raise UsageError("撤回须写明理由和经办人。", "例如：--reason 误报上年数据 --by 张科长。")
    home = Home.from_env()
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 还不存在。", "请先执行 eduplan run 或 eduplan demo。")
    ledger = Ledger(home.ledger_url)
    try:
        with exclusive(home, intake.INTAKE_LOCK, wait=_WAIT):
            changed = ledger.withdraw(delivery, reason=reason, person=by, withdrawn=not undo)
            [row] = ledger.deliveries_of([delivery])
            standing = _standing(ledger, row)
            decision = next(found for found in ledger.withdrawals() if found.delivery_id == delivery)
            write_withdrawal(home, row, decision, standing, feed_title_zh=contract.load(row.feed).info.title_zh)
    finally:
        ledger.close()
    if as_json:
        print_json({"delivery_id": delivery, "withdrawn": not undo, "changed": changed, "active": standing})
    else:
        out.print(f"{'已恢复' if undo else '已撤回'} {delivery}" + ("" if changed else "（此前已是如此，未重复登记）"))
        out.print(f"现在采用：{standing or '无（按应报未报处理）'}。下次 eduplan run 时生效。")
    return OK


def _standing(ledger: Ledger, row: DeliveryRow) -> str | None:
    """The delivery that counts for this one's area and period; for a single school's that is else the district's."""
    active = ledger.active_set(intake.contract_versions())
    counting = {found.key: found.delivery_id for found in active if found.status not in {"refused", WITHDRAWN}}
    return counting.get(row.key) or (counting.get(row.lies_over) if row.lies_over else None)
