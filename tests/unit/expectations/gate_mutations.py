"""What else must fail when a rule's own fault (`expectations/faults.yaml`) is planted into the model candidate.

`ALSO` names the other rules that must fail with it, because the same damage breaks them too; nothing else may fail.
"""

from __future__ import annotations

# The same damage seen from elsewhere.
ALSO: dict[str, set[str]] = {
    "dim_area.group_known": {"enrolment.group_is_sum", "fct_value.group_is_sum"},
    "dim_indicator.unit_present": {"fct_value.unit_matches_indicator"},
    "dim_target.headline_count": {"dim_target.headline_binding_stated", "progress.headline_each_year"},
    "dim_target.binding_count": {"evaluation.binding_listed", "progress.matches_registry"},
    "dim_target.headline_binding_stated": {"progress.matches_registry"},
    "dim_target.headline_numbers_present": {"progress.matches_registry"},
    "fct_value.finite": {"fct_value.district_jump"},
    "fct_value.official_rate_plausible": {"fct_value.city_gross_rate_plausible", "fct_value.city_share_jump"},
    "fct_value.city_gross_rate_plausible": {
        "fct_value.official_rate_plausible",
        "fct_value.city_share_jump",
        "progress.value_equals_fact",
    },
    "fct_value.retention_plausible": {"fct_value.city_share_jump", "progress.value_equals_fact"},
    "fct_value.years_of_schooling_plausible": {"progress.value_equals_fact"},
    "fct_value.working_age_above_all": {"progress.value_equals_fact"},
    "fct_value.budget_share_within_fiscal": {"fct_value.city_share_jump"},
    "fct_value.higher_parts_within_total": {"progress.value_equals_fact"},
    "fct_value.share_within_100": {
        "fct_value.city_is_sum",
        "fct_value.group_is_sum",
        "fct_value.numerator_within_denominator",
    },
    "fct_value.period_plausible": {"fct_value.city_present"},
    "fct_value.numerator_within_denominator": {
        "fct_value.city_is_sum",
        "fct_value.group_is_sum",
        "fct_value.share_recomputes",
    },
    "fct_value.baseline_as_published": {"progress.matches_registry"},
    "fct_value.compulsory_is_sum": {"fct_value.city_is_sum", "fct_value.group_is_sum"},
    "fct_value.senior_is_sum": {"fct_value.city_is_sum", "fct_value.group_is_sum"},
    "fct_value.public_within_inclusive": {
        "fct_value.city_is_sum",
        "fct_value.group_is_sum",
        "preschool_inclusive.value_equals_fact",
    },
    "fct_value.stale_copy": {
        "enrolment.equals_fact",
        "fct_value.city_is_sum",
        "fct_value.group_is_sum",
        "fct_value.headcount_scale",
    },
    "progress.status_present": {"progress.headline_each_year"},
    "progress.binding_each_year": {"evaluation.status_is_progress", "progress.headline_each_year"},
    "enrolment.no_person_number": {"enrolment.city_is_sum", "enrolment.group_is_sum"},
    "enrolment.stage_known": {"teacher_quality.equals_enrolment"},
    "enrolment.female_share_plausible": {"enrolment.no_small_cells"},
    "enrolment.ratio_finite": {"enrolment.ratio_recomputes"},
    "class_size.no_person_number": {"class_size.city_is_sum"},
    "class_size.non_negative": {"class_size.bands_add_up"},
    "class_size.large_adds_up": {"class_size.city_is_sum", "class_size.share_recomputes"},
    "teacher_quality.ages_add_up": {"teacher_quality.no_small_cells"},
    "teacher_quality.equals_enrolment": {"teacher_quality.no_small_cells"},
    "teacher_quality.stage_known": {"teacher_quality.equals_enrolment"},
    "preschool_inclusive.share_range": {"preschool_inclusive.value_equals_fact"},
    "coverage.counts_non_negative": {"coverage.status_known"},
    "coverage.received_has_rows": {"coverage.delivery_known", "coverage.every_delivery_shown"},
    "coverage.delivery_id_format": {"coverage.delivery_known", "coverage.every_delivery_shown"},
    "coverage.row_for_each_area": {"coverage.every_delivery_shown"},
    "coverage.expected_received": {"coverage.every_delivery_shown"},
    "coverage.missing_has_note": {"coverage.every_delivery_shown"},
    "coverage.quarantine_share": {"coverage.delivery_known"},
    "coverage.quarantine_share_severe": {"coverage.delivery_known", "coverage.quarantine_share"},
    "coverage.area_quarantine_share": {"coverage.delivery_known"},
    "census.figures_non_negative": {"register.agrees_with_census"},
    "census.grades_sum_by_area": {"census.primary_grades_sum"},
}
