"""Which publication rules the analyst does not run, and which counts cannot be the gate's.

The gate judges marts out of which sensitive cells were taken; the analyst takes none out. A rule that asks for filled
cells examines more rows then, and one that asks whether small numbers are gone finds them all. Such rules are run all
the same, and their counts are compared only with a release that lacks none of the cells named here.

Narrower than the gate's, where the analyst has nothing to ask of: `coverage.received_has_rows` asks of rows only,
`coverage.delivery_known` and `coverage.every_delivery_shown` go by feed, area, year and part instead of an id.

Belongs here: two tables of reasons. What does not: the rules (`analyst_checks.py`).
"""

from __future__ import annotations

NO_NOTES = "asks for a note, and the analyst writes none"
NOTHING_TAKEN_OUT = "asks of the column `suppressed`, which only those have who take cells out"
NOTHING_BEFORE = "compares with the release before, of which a workbook knows nothing"
LEFT_OUT_RULES = {
    "balance.reason_given": NO_NOTES,
    "coverage.delivery_id_format": "asks of delivery ids, which are eduplan's bookkeeping",
    "coverage.missing_has_note": NO_NOTES,
    "enrolment.suppressed_are_empty": NOTHING_TAKEN_OUT,
    "fct_value.official_has_note": NO_NOTES,
    "fct_value.partial_has_note": NO_NOTES,
    "fct_value.since_last_release": NOTHING_BEFORE,
    "fct_value.still_published": NOTHING_BEFORE,
    "preschool_inclusive.reason_given": NO_NOTES,
    "programme_targets.reason_given": NO_NOTES,
    "progress.cannot_assess_has_note": NO_NOTES,
    "register.person_key_format": "asks of pseudonyms, and the analyst keeps the identity numbers",
    "standing_rules.reason_given": NO_NOTES,
    "teacher_quality.suppressed_are_empty": NOTHING_TAKEN_OUT,
}
VALUE, SIDES = "fct_indicator_value.value", "fct_indicator_value.numerator fct_indicator_value.denominator"
# Learners of an area and stage, which are also the numerators of indicators.
LEARNERS = "mart_enrolment.enrolment"
RATIO = "mart_enrolment.pupil_teacher_ratio mart_enrolment.fulltime_teachers mart_enrolment.enrolment"
BALANCE, VARIATION = "mart_compulsory_balance.amount mart_compulsory_balance.value", "mart_compulsory_balance.cv"
MONEY = "mart_education_finance.amount mart_education_finance.value"
# Rule -> the columns whose cells matter, or the mart, separated by blanks. Where a release lacks one of these cells,
# its count is not the analyst's.
NOT_COMPARED = {
    "balance.cv_plausible": VARIATION,
    "balance.cv_range": VARIATION,
    "balance.no_small_cells": BALANCE,
    "balance.value_non_negative": BALANCE,
    "balance.verdict_matches_cv": VARIATION,
    "class_size.pupils_per_class": LEARNERS,
    "enrolment.entrants_within_total": f"mart_enrolment.entrants {LEARNERS}",
    "enrolment.equals_fact": LEARNERS,
    "enrolment.female_share_plausible": f"mart_enrolment.female {LEARNERS}",
    "enrolment.female_within_total": f"mart_enrolment.female {LEARNERS}",
    "enrolment.no_small_cells": "mart_enrolment",
    "enrolment.ratio_finite": RATIO,
    "enrolment.ratio_recomputes": RATIO,
    "enrolment.schools_behind_pupils": LEARNERS,
    "fct_value.city_is_sum": f"{VALUE} {SIDES}",
    "fct_value.compulsory_is_sum": LEARNERS,
    "fct_value.district_jump": LEARNERS,
    "fct_value.finite": VALUE,
    "fct_value.group_is_sum": f"{VALUE} {SIDES}",
    "fct_value.headcount_scale": LEARNERS,
    "fct_value.no_small_cells": SIDES,
    "fct_value.non_negative": VALUE,
    "fct_value.numerator_within_denominator": SIDES,
    "fct_value.public_within_inclusive": LEARNERS,
    "fct_value.pupil_teacher_ratio_plausible": VALUE,
    "fct_value.senior_is_sum": LEARNERS,
    "fct_value.share_recomputes": VALUE,
    "fct_value.share_within_100": VALUE,
    "fct_value.spend_per_pupil_plausible": VALUE,
    "fct_value.stale_copy": LEARNERS,
    "finance_mart.city_is_sum": MONEY,
    "finance_mart.growth_plausible": "mart_education_finance.growth_percent",
    "finance_mart.no_dominated_cells": MONEY,
    "finance_mart.per_student_plausible": MONEY,
    "finance_mart.per_student_recomputes": MONEY,
    "finance_mart.value_non_negative": MONEY,
    "forensic.variation_below_limit": VARIATION,
    "preschool_inclusive.share_range": "mart_preschool_inclusive.value",
    "teacher_quality.no_small_cells": "mart_teacher_quality",
    "teacher_quality.share_recomputes": "mart_teacher_quality.fulltime_teachers mart_teacher_quality.certified_share",
}
