"""For every publication rule one statement that breaks the model candidate so that this rule fails.

`ALSO` names the other rules that must fail with it, because the same damage breaks them too; nothing else may fail.
"""

from __future__ import annotations

AREA = "update marts.dim_area set"
SCHOOL = "update marts.dim_school set"
ONE_SCHOOL = "where school_code = (select min(school_code) from marts.dim_school)"
FACT = "update marts.fct_indicator_value set"
PROGRESS = "update marts.mart_plan_progress set"
ENROLMENT = "update marts.mart_enrolment set"
CLASSES = "update marts.mart_class_size set"
COVERAGE = "update marts.mart_data_coverage set"
FIGURE = "update records.school_census__figure set"
TEACHER = "update records.teacher_register__teacher set"
MONEY = "update records.education_finance__line set"
ONE_FACT = "where indicator_id = 'school_count' and area_code = '500103' and period = 2022"
ONE_SHARE = "where indicator_id = 'primary_large_class_share' and area_code = '500103' and period = 2022"
ONE_PROGRESS = "where target_id = 'box1.he_gross_enrolment' and year = 2021"
ONE_CLASS = "where area_code = '500103' and period = 2022 and stage = 'senior_general'"
ONE_STAGE = "where area_code = '500103' and period = 2022 and stage = 'special'"
ONE_RECEIVED = "where feed = 'education_finance' and area_code = '500103' and period = 2022"
# A synthetic number: right date, check digit not needed, belongs to nobody.
ID_NUMBER = "50010319900228123X"
PHONE = "13800138000"

MUTATIONS: dict[str, str] = {
    # areas
    "dim_area.code_format": (f"{AREA} area_code = 'G1 ' where area_code = 'G1'"),
    "dim_area.name_present": (f"{AREA} area_name_zh = null where area_code = 'G1'"),
    "dim_area.level_known": (f"{AREA} area_level = 'county' where area_code = 'G1'"),
    "dim_area.one_city": (
        "insert into marts.dim_area select * replace ('500001' as area_code)"
        " from marts.dim_area where area_level = 'city'"
    ),
    "dim_area.group_known": (f"{AREA} group_code = 'G4' where area_code = '500243'"),
    "dim_area.validity_order": (f"{AREA} valid_from = '2020-05-01', valid_to = '2019-05-01' where area_code = 'G1'"),
    "dim_area.population_plausible": (f"{AREA} population_2020 = 58 where area_code = '500103'"),
    "dim_area.no_person_number": (f"{AREA} source = '联系人电话{PHONE}' where area_code = 'G1'"),
    # schools
    "dim_school.code_format": (f"{SCHOOL} school_code = '110001' {ONE_SCHOOL}"),
    "dim_school.name_present": (f"{SCHOOL} school_name = null {ONE_SCHOOL}"),
    "dim_school.name_clean": (f"{SCHOOL} school_name = school_name || '　' {ONE_SCHOOL}"),
    "dim_school.no_control_character": (f"{SCHOOL} school_name = '中心' || chr(8203) || '小学' {ONE_SCHOOL}"),
    "dim_school.no_person_number": (f"{SCHOOL} school_name = '中心小学（{ID_NUMBER}）' {ONE_SCHOOL}"),
    "dim_school.type_known": (f"{SCHOOL} school_type_zh = null {ONE_SCHOOL}"),
    "dim_school.ownership_known": (f"{SCHOOL} is_public = null {ONE_SCHOOL}"),
    "dim_school.public_matches_organiser": (f"{SCHOOL} organiser_code = '999' {ONE_SCHOOL}"),
    "dim_school.inclusive_only_private": (f"{SCHOOL} is_inclusive_private = true {ONE_SCHOOL}"),
    "dim_school.version_order": (f"{SCHOOL} valid_to_year = 2019 {ONE_SCHOOL}"),
    "dim_school.versions_apart": (
        f"insert into marts.dim_school select * replace (2022 as valid_from_year) from marts.dim_school {ONE_SCHOOL}"
    ),
    "dim_school.urban_rural_known": (f"{SCHOOL} urban_rural_code = '11' {ONE_SCHOOL}"),
    # indicators
    "dim_indicator.headline_complete": ("update marts.dim_indicator set headline_no = null where headline_no = 7"),
    "dim_indicator.name_present": ("update marts.dim_indicator set name_zh = null where headline_no = 7"),
    "dim_indicator.unit_present": ("update marts.dim_indicator set unit_zh = null where headline_no = 7"),
    "dim_indicator.method_known": ("update marts.dim_indicator set method_expected = 'guess' where headline_no = 7"),
    "dim_indicator.formula_present": ("update marts.dim_indicator set formula_zh = ' ' where headline_no = 5"),
    "dim_indicator.source_present": ("update marts.dim_indicator set source_zh = null where headline_no = 7"),
    "dim_indicator.no_person_number": (
        "update marts.dim_indicator set source_zh = '电话 138-0013-8000' where headline_no = 7"
    ),
    # targets
    "dim_target.headline_count": (
        "insert into marts.dim_target select * replace ('box1.again' as target_id, null as binding)"
        " from marts.dim_target where indicator_id = 'he_total_scale'"
    ),
    "dim_target.binding_count": (
        "update marts.dim_target set binding = '预期性' where indicator_id = 'compulsory_retention'"
    ),
    "dim_target.binding_known": ("update marts.dim_target set binding = '必须' where target_id = 'text.range'"),
    "dim_target.headline_binding_stated": (
        "update marts.dim_target set binding = null where indicator_id = 'he_total_scale'"
    ),
    "dim_target.quote_present": ("update marts.dim_target set quote_zh = null where target_id = 'text.range'"),
    "dim_target.range_order": ("update marts.dim_target set value_high = 1 where target_id = 'text.range'"),
    "dim_target.numbers_finite": ("update marts.dim_target set value_high = 'inf' where target_id = 'text.range'"),
    "dim_target.headline_numbers_present": (
        "update marts.dim_target set baseline = null where indicator_id = 'he_total_scale'"
    ),
    "dim_target.headline_indicator_linked": (
        "update marts.dim_target set indicator_id = null where indicator_id = 'he_total_scale'"
    ),
    "dim_target.operator_known": ("update marts.dim_target set operator = '≥' where target_id = 'text.range'"),
    "dim_target.no_person_number": (f"update marts.dim_target set note = '{PHONE}' where target_id = 'text.range'"),
    # indicator values
    "fct_value.ref_period_present": (f"{FACT} ref_period = null {ONE_FACT}"),
    "fct_value.no_person_number": (f"{FACT} note = '见 {ID_NUMBER}' {ONE_FACT}"),
    "fct_value.no_control_character": (f"{FACT} note = 'a' || chr(7) {ONE_FACT}"),
    "fct_value.finite": (f"{FACT} value = 'inf' {ONE_FACT}"),
    "fct_value.non_negative": (f"{FACT} value = -1 {ONE_FACT}"),
    "fct_value.share_within_100": (
        f"{FACT} value = 120, numerator = denominator * 1.2 where indicator_id = 'primary_large_class_share'"
        " and area_code = '500103' and period = 2022"
    ),
    "fct_value.official_rate_plausible": (
        f"{FACT} value = 0.533 where indicator_id = 'he_gross_enrolment' and period = 2020"
    ),
    "fct_value.period_plausible": (f"{FACT} period = 20 {ONE_FACT}"),
    "fct_value.method_known": (f"{FACT} method = 'estimated' {ONE_FACT}"),
    "fct_value.publish_status_known": (f"{FACT} publish_status = 'draft' {ONE_FACT}"),
    "fct_value.publish_status_present": (f"{FACT} publish_status = null {ONE_FACT}"),
    "fct_value.area_level_known": (f"{FACT} area_level = 'town' {ONE_FACT}"),
    "fct_value.unit_matches_indicator": (f"{FACT} unit = '个' {ONE_FACT}"),
    "fct_value.headcount_scale": (
        f"{FACT} value = value * 1.01 where indicator_id = 'fulltime_teachers' and area_code = 'G1' and period = 2022"
    ),
    "fct_value.share_recomputes": (f"{FACT} value = value + 0.5 {ONE_SHARE}"),
    "fct_value.numerator_within_denominator": (f"{FACT} numerator = denominator + 1 {ONE_SHARE}"),
    "fct_value.no_zero_for_missing": (
        f"{FACT} value = 0, reported_units = 0, publish_status = 'preliminary' {ONE_FACT}"
    ),
    "fct_value.reported_within_expected": (f"{FACT} reported_units = 7 {ONE_FACT}"),
    "fct_value.final_is_complete": (f"{FACT} reported_units = 5 {ONE_FACT}"),
    "fct_value.partial_has_note": (f"{FACT} note = null where publish_status = 'partial'"),
    "fct_value.as_of_present": (f"{FACT} as_of = null {ONE_FACT}"),
    "fct_value.official_has_note": (f"{FACT} note = ' ' where method = 'official' and period = 2020"),
    "fct_value.undergraduate_as_published": (
        f"{FACT} value = 91.6 where indicator_id = 'he_undergraduate' and period = 2020"
    ),
    "fct_value.baseline_as_published": (
        "update marts.dim_target set baseline = baseline * 1.01 where indicator_id = 'pre_enrolment'"
    ),
    "fct_value.city_is_sum": (
        f"{FACT} numerator = numerator + 1 where indicator_id = 'education_spend_total' and area_code = '500000'"
        " and period = 2022"
    ),
    "fct_value.group_is_sum": (
        f"{FACT} numerator = numerator + 1 where indicator_id = 'education_spend_total' and area_code = 'G1'"
        " and period = 2022"
    ),
    "fct_value.compulsory_is_sum": (
        f"{FACT} numerator = numerator + 10, value = value + 0.001 where indicator_id = 'compulsory_enrolment'"
        " and area_code = '500103' and period = 2022"
    ),
    "fct_value.senior_is_sum": (
        f"{FACT} numerator = numerator + 10, value = value + 0.001 where indicator_id = 'senior_enrolment'"
        " and area_code = '500103' and period = 2022"
    ),
    "fct_value.public_within_inclusive": (
        f"{FACT} numerator = 1, value = 100.0 / cast(denominator as double) where indicator_id ="
        " 'pre_inclusive_coverage' and area_code = '500103' and period = 2022"
    ),
    "fct_value.teachers_city_within_sum": (
        f"{FACT} numerator = numerator + 10, value = value + 0.001 where indicator_id = 'fulltime_teachers'"
        " and area_code = '500000' and period = 2022"
    ),
    "fct_value.city_present": (
        "delete from marts.fct_indicator_value where indicator_id = 'school_count' and area_level = 'city'"
        " and period = 2024"
    ),
    "fct_value.city_jump": (
        f"{FACT} value = value * 1.5 where indicator_id = 'school_count' and area_level = 'city' and period = 2024"
    ),
    "fct_value.city_share_jump": (
        f"{FACT} value = value + 9 where indicator_id = 'he_gross_enrolment' and period = 2020"
    ),
    "fct_value.district_jump": (
        f"{FACT} value = value * 1.5 where indicator_id = 'education_spend_total' and area_code = '500103'"
        " and period = 2022"
    ),
    "fct_value.stale_copy": (
        "update marts.fct_indicator_value as v set numerator = b.numerator from marts.fct_indicator_value as b"
        " where v.indicator_id = 'pre_enrolment' and v.area_code = '500103' and v.period = 2022"
        " and b.indicator_id = 'pre_enrolment' and b.area_code = '500103' and b.period = 2021"
    ),
    "fct_value.spend_per_pupil_plausible": (
        f"{FACT} value = 1.5 where indicator_id = 'budget_spend_per_pupil_primary' and area_code = '500103'"
    ),
    "fct_value.spend_total_plausible": (
        f"{FACT} value = 12000 where indicator_id = 'education_spend_total' and area_code = '500103'"
    ),
    "fct_value.pupil_teacher_ratio_plausible": (
        f"{FACT} value = 70 where indicator_id = 'primary_pupil_teacher_ratio' and area_code = '500103'"
    ),
    # plan progress
    "progress.no_person_number": (f"{PROGRESS} note = '请电{PHONE}' {ONE_PROGRESS}"),
    "progress.status_known": (f"{PROGRESS} status = 'fine' {ONE_PROGRESS}"),
    "progress.status_present": (f"{PROGRESS} status = null {ONE_PROGRESS}"),
    "progress.status_zh_present": (f"{PROGRESS} status_zh = null {ONE_PROGRESS}"),
    "progress.years": (
        "insert into marts.mart_plan_progress select * replace (2020 as year) from marts.mart_plan_progress"
        " where target_id = 'box1.he_gross_enrolment' and year = 2025"
    ),
    "progress.headline_each_year": (f"delete from marts.mart_plan_progress {ONE_PROGRESS}"),
    "progress.binding_each_year": (
        "delete from marts.mart_plan_progress where target_id = 'box1.compulsory_retention' and year = 2023"
    ),
    "progress.missing_is_cannot_assess": (
        f"{PROGRESS} status = 'behind' where target_id = 'box1.he_gross_enrolment' and year = 2025"
    ),
    "progress.cannot_assess_has_note": (
        f"{PROGRESS} note = null where target_id = 'box1.he_gross_enrolment' and year = 2025"
    ),
    "progress.numbers_finite": (f"{PROGRESS} pace_ratio = 'nan' {ONE_PROGRESS}"),
    "progress.pace_needs_distance": (
        f"{PROGRESS} pace_ratio = 1 where target_id = 'box1.senior_gross_enrolment' and year = 2021"
    ),
    "progress.value_equals_fact": (f"{PROGRESS} value = value + 0.1, gap = gap - 0.1 {ONE_PROGRESS}"),
    "progress.partial_is_cannot_assess": (
        f"{PROGRESS} status = 'behind' where target_id = 'box1.pre_enrolment' and year = 2023"
    ),
    "progress.matches_registry": (f"{PROGRESS} baseline = baseline + 1 {ONE_PROGRESS}"),
    "progress.met_really_met": (f"{PROGRESS} status = 'achieved' {ONE_PROGRESS}"),
    "progress.gap_recomputes": (f"{PROGRESS} gap = gap + 1 {ONE_PROGRESS}"),
    "progress.forecast_plausible": (f"{PROGRESS} forecast = 900 {ONE_PROGRESS}"),
    # enrolment
    "enrolment.no_person_number": (f"{ENROLMENT} area_level = '{ID_NUMBER}' {ONE_STAGE}"),
    "enrolment.stage_known": (f"{ENROLMENT} stage = 'middle' where stage = 'special'"),
    "enrolment.non_negative": (f"{ENROLMENT} graduates = -1 {ONE_STAGE}"),
    "enrolment.female_within_total": (f"{ENROLMENT} female = enrolment + 1 {ONE_STAGE}"),
    "enrolment.female_share_plausible": (
        f"{ENROLMENT} female = 1 where area_code = '500103' and period = 2022 and stage = 'primary'"
    ),
    "enrolment.entrants_within_total": (
        f"{ENROLMENT} entrants = enrolment * 2 where stage = 'special' and period = 2022"
    ),
    "enrolment.schools_behind_pupils": (
        f"{ENROLMENT} school_count = 0 where area_code = '500103' and period = 2022 and stage = 'primary'"
    ),
    "enrolment.city_is_sum": (
        f"{ENROLMENT} entrants = entrants + 1 where area_code = '500000' and period = 2022 and stage = 'primary'"
    ),
    "enrolment.group_is_sum": (
        f"{ENROLMENT} enrolment = enrolment + 1, pupil_teacher_ratio = null"
        " where area_code = 'G1' and period = 2022 and stage = 'special'"
    ),
    "enrolment.equals_fact": (
        "delete from marts.fct_indicator_value where indicator_id = 'pre_enrolment' and area_code = 'G1'"
    ),
    "enrolment.ratio_finite": (f"{ENROLMENT} pupil_teacher_ratio = 'inf' {ONE_STAGE}"),
    "enrolment.ratio_recomputes": (f"{ENROLMENT} pupil_teacher_ratio = pupil_teacher_ratio + 1 {ONE_STAGE}"),
    # class size
    "class_size.no_person_number": (f"{CLASSES} area_level = '{PHONE}' {ONE_CLASS}"),
    "class_size.non_negative": (f"{CLASSES} class_le45 = -1 {ONE_CLASS}"),
    "class_size.bands_add_up": (f"{CLASSES} class_le45 = class_le45 + 1 {ONE_CLASS}"),
    "class_size.large_adds_up": (f"{CLASSES} class_ge56 = class_ge56 + 1 {ONE_CLASS}"),
    "class_size.shares_within_100": (f"{CLASSES} share_ge66 = share_ge56 + 1 {ONE_CLASS}"),
    "class_size.share_recomputes": (f"{CLASSES} share_ge56 = share_ge56 + 1 {ONE_CLASS}"),
    "class_size.city_is_sum": (
        f"{CLASSES} class_total = class_total + 1, class_le45 = class_le45 + 1, share_ge56 = null"
        " where area_code = '500000' and period = 2022 and stage = 'primary'"
    ),
    "class_size.pupils_per_class": (
        f"{CLASSES} class_total = class_total + 900, class_le45 = class_le45 + 900, share_ge56 = null"
        " where area_code = 'G1' and period = 2022 and stage = 'primary'"
    ),
    "class_size.heaped_below_line": (
        f"{CLASSES} class_46_55 = class_le45 + class_46_55, class_le45 = 0"
        " where area_code = '500103' and period = 2022 and stage = 'primary'"
    ),
    # coverage
    "coverage.no_person_number": (f"{COVERAGE} note = '１３８００１３８０００' {ONE_RECEIVED}"),
    "coverage.status_known": (f"{COVERAGE} status = 'late' {ONE_RECEIVED}"),
    "coverage.status_present": (f"{COVERAGE} status = null {ONE_RECEIVED}"),
    "coverage.rows_reconcile": (f"{COVERAGE} rows_in = rows_in + 1 {ONE_RECEIVED}"),
    "coverage.counts_non_negative": (f"{COVERAGE} rows_in = -1, status = 'late' {ONE_RECEIVED}"),
    "coverage.received_has_rows": (f"{COVERAGE} delivery_id = null {ONE_RECEIVED}"),
    "coverage.delivery_id_format": (f"{COVERAGE} delivery_id = 'D1' {ONE_RECEIVED}"),
    "coverage.delivery_known": (f"{COVERAGE} rows_in = rows_in + 5, rows_accepted = rows_accepted + 5 {ONE_RECEIVED}"),
    "coverage.every_delivery_shown": ("delete from marts.mart_data_coverage where feed = 'official_figures'"),
    "coverage.row_for_each_area": (
        "delete from marts.mart_data_coverage where feed = 'education_finance' and area_code = '500103'"
        " and period = 2022"
    ),
    "coverage.expected_received": (
        f"{COVERAGE} status = 'missing', delivery_id = null, rows_in = null, note = '未报' {ONE_RECEIVED}"
    ),
    "coverage.missing_has_note": (
        f"{COVERAGE} status = 'refused', expected = false, delivery_id = null, rows_in = null {ONE_RECEIVED}"
    ),
    "coverage.quarantine_share": (
        f"{COVERAGE} rows_in = 1000, rows_accepted = 900, rows_quarantined = 100 where feed = 'official_figures'"
    ),
    "coverage.quarantine_share_severe": (
        f"{COVERAGE} rows_in = 19, rows_accepted = 10, rows_quarantined = 9 where feed = 'official_figures'"
    ),
    "coverage.area_quarantine_share": (
        f"{COVERAGE} rows_accepted = 75, rows_quarantined = 25 where feed = 'teacher_register'"
        " and area_code = '500103' and period = 2022 and part = 'contract'"
    ),
    "coverage.reported_after_period": (f"{COVERAGE} reported_on = '2021-09-20' {ONE_RECEIVED}"),
    # records
    "census.figures_non_negative": (
        f"{FIGURE} value = -1 where form = '4149' and school_code = '2150000104' and stat_year = 2022"
    ),
    "census.school_behind_figures": (
        "delete from records.school_census__school where school_code = '2150000104' and stat_year = 2022"
    ),
    "census.primary_grades_sum": (
        f"{FIGURE} value = value + 1 where school_code = '2150000104' and stat_year = 2022 and measure = 'grade_1'"
    ),
    "census.junior_grades_sum": (
        f"{FIGURE} value = value + 1 where school_code = '3150000105' and stat_year = 2022 and measure = 'grade_1'"
    ),
    "census.senior_grades_sum": (
        f"{FIGURE} value = value + 1 where school_code = '3450000106' and stat_year = 2022 and measure = 'grade_1'"
    ),
    "census.female_within_enrolment": (
        f"{FIGURE} value = 99999 where school_code = '3450000106' and stat_year = 2022 and measure = 'female'"
    ),
    "census.grades_sum_by_area": (
        f"{FIGURE} value = 0 where school_code = '2150000104' and stat_year = 2022 and measure = 'grade_1'"
    ),
    "census.class_bands_sum": (
        f"{FIGURE} value = value + 1 where school_code = '2150000104' and stat_year = 2022 and measure = 'class_total'"
    ),
    "register.person_key_format": (
        f"{TEACHER} person_key = upper(person_key) where area_code = '500103' and stat_year = 2022 and row_no = 3"
    ),
    "register.no_person_number": (
        f"{TEACHER} subject = '语文{PHONE}' where area_code = '500103' and stat_year = 2022 and row_no = 3"
    ),
    "register.age_plausible": (f"{TEACHER} age = 9 where area_code = '500103' and stat_year = 2022 and age = 26"),
    "register.id_valid_share": (
        f"{TEACHER} id_valid = false where area_code = '500103' and stat_year = 2022 and age = 26"
    ),
    "register.counted_once": (
        "insert into records.teacher_register__teacher select * replace ('contract' as post_kind)"
        " from records.teacher_register__teacher"
        " where area_code = '500103' and stat_year = 2022 and age = 27"
    ),
    "register.agrees_with_census": (
        f"{TEACHER} post_category = 'admin' where area_code = '500103' and stat_year = 2022 and post_kind = 'contract'"
    ),
    "finance.money_non_negative": (
        f"{MONEY} amount_2 = -1 where unit_code = 'U2150000104' and fiscal_year = 2022 and form = 'jz_3'"
    ),
    "finance.part_within_total": (
        f"{MONEY} amount_3 = amount_1 + 1 where unit_code = 'U2150000104' and fiscal_year = 2022 and form = 'jz_3'"
    ),
    "finance.spending_has_pupils": (
        f"{MONEY} amount_1 = 0, amount_2 = 0 where unit_code = 'U2150000104' and fiscal_year = 2022 and form = 'jz_1'"
    ),
}

# Emptying a table breaks nearly everything that is asked of it: only the rule itself is looked at.
EMPTIED: dict[str, str] = {
    "dim_area.not_empty": "delete from marts.dim_area",
    "dim_school.not_empty": "delete from marts.dim_school",
    "dim_indicator.not_empty": "delete from marts.dim_indicator where headline_no > 3",
    "dim_target.not_empty": "delete from marts.dim_target where value_high is null and value_low > 100",
    "fct_value.not_empty": "delete from marts.fct_indicator_value",
    "progress.not_empty": "delete from marts.mart_plan_progress",
    "enrolment.not_empty": "delete from marts.mart_enrolment",
    "class_size.not_empty": "delete from marts.mart_class_size",
    "coverage.not_empty": "delete from marts.mart_data_coverage",
}


# The same damage seen from elsewhere.
ALSO: dict[str, set[str]] = {
    "dim_area.group_known": {"enrolment.group_is_sum", "fct_value.group_is_sum"},
    "dim_indicator.unit_present": {"fct_value.unit_matches_indicator"},
    "dim_target.headline_count": {"dim_target.headline_binding_stated", "progress.headline_each_year"},
    "dim_target.binding_count": {"progress.matches_registry"},
    "dim_target.headline_binding_stated": {"progress.matches_registry"},
    "dim_target.headline_numbers_present": {"progress.matches_registry"},
    "fct_value.finite": {"fct_value.district_jump"},
    "fct_value.official_rate_plausible": {"fct_value.city_share_jump"},
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
    "fct_value.public_within_inclusive": {"fct_value.city_is_sum", "fct_value.group_is_sum"},
    "fct_value.stale_copy": {
        "enrolment.equals_fact",
        "fct_value.city_is_sum",
        "fct_value.group_is_sum",
        "fct_value.headcount_scale",
    },
    "progress.status_present": {"progress.headline_each_year"},
    "progress.binding_each_year": {"progress.headline_each_year"},
    "enrolment.no_person_number": {"enrolment.city_is_sum", "enrolment.group_is_sum"},
    "enrolment.ratio_finite": {"enrolment.ratio_recomputes"},
    "class_size.no_person_number": {"class_size.city_is_sum"},
    "class_size.non_negative": {"class_size.bands_add_up"},
    "class_size.large_adds_up": {"class_size.city_is_sum", "class_size.share_recomputes"},
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
