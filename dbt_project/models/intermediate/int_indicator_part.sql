{#- indicator, numerator, denominator; each an expression over the one row an area and year of its subject. -#}
{%- set census_indicators = [
    ('pre_enrolment', 'preschool', none),
    ('pre_public_share', 'preschool_public', 'preschool'),
    ('pre_inclusive_coverage', 'preschool_inclusive', 'preschool'),
    ('compulsory_enrolment', 'compulsory', none),
    ('primary_enrolment', 'primary_stage', none),
    ('junior_enrolment', 'junior', none),
    ('senior_enrolment', 'senior', none),
    ('senior_general_enrolment', 'senior_general', none),
    ('senior_vocational_enrolment', 'senior_vocational', none),
    ('primary_large_class_share', 'primary_large_classes', 'primary_classes'),
    ('junior_large_class_share', 'junior_large_classes', 'junior_classes'),
    ('senior_large_class_share', 'senior_large_classes', 'senior_classes'),
    ('school_count', 'schools', none),
    ('compulsory_standard_class_share', 'compulsory_standard_classes', 'compulsory_classes'),
    ('vocational_general_ratio', 'senior_vocational', 'senior_general'),
    ('pre_public_enrolment', 'preschool_public', none),
    ('urban_compulsory_enrolment', 'urban_compulsory', none),
    ('compulsory_large_class_share', 'compulsory_large_classes', 'compulsory_classes'),
    ('compulsory_super_class_share', 'compulsory_super_classes', 'compulsory_classes'),
] -%}
{%- set school_indicators = [
    ('pre_grade2_plus_share', 'kindergartens_grade2_plus', 'kindergartens'),
    ('pre_grade1_plus_share', 'kindergartens_grade1_plus', 'kindergartens'),
    ('group_or_district_share', 'general_in_either', 'general_schools'),
    ('senior_oversize_schools', 'senior_oversize', none),
    ('group_schooling_share', 'compulsory_in_group', 'compulsory_schools'),
    ('group_schooling_share_core', 'core_in_group', 'core_schools'),
    ('district_schooling_share', 'compulsory_in_district', 'compulsory_schools'),
    ('district_schooling_share_core', 'core_in_district', 'core_schools'),
    ('compulsory_oversize_schools', 'compulsory_oversize', none),
    ('complete_middle_schools', 'complete_middle_schools', none),
    ('special_school_coverage_200k', 'large_with_special_school', 'large_districts'),
] -%}
{%- set register_indicators = [
    ('fulltime_teachers', 'teachers', none),
    ('teacher_bachelor_share', 'compulsory_bachelors', 'compulsory_teachers'),
] -%}
{%- set quality_indicators = [
    ('pre_teacher_certified_share', 'preschool_certified', 'preschool_teachers'),
    ('mid_senior_title_share', 'mid_senior_titles', 'school_teachers'),
    ('teacher_certified_share', 'general_certified', 'general_teachers'),
    ('teacher_qualified_share', 'qualified', 'school_teachers'),
    ('compulsory_backbone_share', 'compulsory_backbone', 'compulsory_teachers'),
    ('city_backbone_teachers', 'city_backbone', none),
    ('vocational_dual_share_professional', 'dual_qualified_professionals', 'professional_teachers'),
    ('vocational_dual_share_fulltime', 'dual_qualified_teachers', 'vocational_teachers'),
] -%}
{%- set joint_indicators = [
    ('primary_pupil_teacher_ratio', 'primary_stage', 'primary_teachers'),
    ('junior_pupil_teacher_ratio', 'junior', 'junior_teachers'),
    ('senior_pupil_teacher_ratio', 'senior_general', 'senior_teachers'),
    ('pre_pupil_teacher_ratio', 'preschool', 'preschool_teachers'),
] -%}
{%- set finance_indicators = [
    ('budget_spend_per_pupil_primary', 'budget_primary', 'students_primary'),
    ('budget_spend_per_pupil_junior', 'budget_junior', 'students_junior'),
    ('education_spend_total', 'spend_total', none),
] -%}
{%- set subjects = [
    ('pupils', census_indicators),
    ('schools', school_indicators),
    ('teachers', register_indicators),
    ('quality', quality_indicators),
    ('both_feeds', joint_indicators),
    ('finance', finance_indicators),
] -%}
with pupils as (
    select
        period,
        area_code,
        sum(enrolment) filter (where stage = 'preschool') as preschool,
        sum(enrolment_public) filter (where stage = 'preschool') as preschool_public,
        sum(enrolment_inclusive) filter (where stage = 'preschool') as preschool_inclusive,
        sum(enrolment) filter (where stage = 'primary') as primary_stage,
        sum(enrolment) filter (where stage = 'junior') as junior,
        sum(enrolment) filter (where stage in ('primary', 'junior')) as compulsory,
        sum(enrolment) filter (where stage = 'senior_general') as senior_general,
        sum(enrolment) filter (where stage = 'senior_vocational') as senior_vocational,
        sum(enrolment) filter (where stage in ('senior_general', 'senior_vocational')) as senior,
        sum({{ large_classes('class_56_65', 'class_ge66') }}) filter (where stage = 'primary') as primary_large_classes,
        sum({{ large_classes('class_56_65', 'class_ge66') }}) filter (where stage = 'junior') as junior_large_classes,
        sum({{ large_classes('class_56_65', 'class_ge66') }}) filter (
            where stage = 'senior_general'
        ) as senior_large_classes,
        sum(enrolment_urban) filter (where stage in ('primary', 'junior')) as urban_compulsory,
        sum({{ large_classes('class_56_65', 'class_ge66') }}) filter (
            where stage in ('primary', 'junior')
        ) as compulsory_large_classes,
        sum(class_ge66) filter (where stage in ('primary', 'junior')) as compulsory_super_classes,
        sum(class_total) filter (where stage = 'primary') as primary_classes,
        sum(class_total) filter (where stage = 'junior') as junior_classes,
        sum(class_total) filter (where stage = 'senior_general') as senior_classes,
        sum(class_total) filter (where stage in ('primary', 'junior')) as compulsory_classes,
        sum({{ standard_classes('stage', 'class_le45', 'class_46_50') }}) filter (
            where stage in ('primary', 'junior')
        ) as compulsory_standard_classes,
        sum(school_count) as schools
    from {{ ref('int_stage_area_year') }}
    group by period, area_code
),

schools as (
    select
        period,
        area_code,
        kindergartens,
        kindergartens_grade2_plus,
        kindergartens_grade1_plus,
        general_schools,
        general_in_either,
        senior_oversize,
        compulsory_schools,
        compulsory_in_group,
        compulsory_in_district,
        compulsory_oversize,
        complete_middle_schools,
        case when subgroup_zh = '中心城区' then compulsory_in_group end as core_in_group,
        case when subgroup_zh = '中心城区' then compulsory_in_district end as core_in_district,
        case when subgroup_zh = '中心城区' then compulsory_schools end as core_schools,
        case when has_200k_people then 1 else 0 end as large_districts,
        case when has_200k_people and special_schools > 0 then 1 else 0 end as large_with_special_school
    from {{ ref('int_school_area_year') }}
),

quality as (
    select
        period,
        area_code,
        sum(fulltime_teachers) filter (where stage = 'preschool') as preschool_teachers,
        sum(certified_teachers) filter (where stage = 'preschool') as preschool_certified,
        sum(fulltime_teachers) filter (
            where stage in ('preschool', 'primary', 'junior', 'senior_general')
        ) as school_teachers,
        sum(mid_senior_title_teachers) filter (
            where stage in ('preschool', 'primary', 'junior', 'senior_general')
        ) as mid_senior_titles,
        sum(qualified_teachers) filter (
            where stage in ('preschool', 'primary', 'junior', 'senior_general')
        ) as qualified,
        sum(fulltime_teachers) filter (where stage in ('primary', 'junior', 'senior_general')) as general_teachers,
        sum(certified_teachers) filter (where stage in ('primary', 'junior', 'senior_general')) as general_certified,
        sum(fulltime_teachers) filter (where stage in ('primary', 'junior')) as compulsory_teachers,
        sum(backbone_teachers) filter (where stage in ('primary', 'junior')) as compulsory_backbone,
        sum(city_backbone_teachers) filter (
            where stage in ('preschool', 'primary', 'junior', 'senior_general')
        ) as city_backbone,
        sum(fulltime_teachers) filter (where stage = 'senior_vocational') as vocational_teachers,
        sum(professional_teachers) filter (where stage = 'senior_vocational') as professional_teachers,
        sum(dual_qualified_teachers) filter (where stage = 'senior_vocational') as dual_qualified_teachers,
        sum(dual_qualified_professionals) filter (where stage = 'senior_vocational') as dual_qualified_professionals
    from {{ ref('int_teacher_quality') }}
    group by period, area_code
),

teachers as (
    select
        period,
        area_code,
        sum(fulltime_teachers) as teachers,
        sum(fulltime_teachers) filter (where stage = 'preschool') as preschool_teachers,
        sum(fulltime_teachers) filter (where stage = 'primary') as primary_teachers,
        sum(fulltime_teachers) filter (where stage = 'junior') as junior_teachers,
        sum(fulltime_teachers) filter (where stage = 'senior_general') as senior_teachers,
        sum(fulltime_teachers) filter (where stage in ('primary', 'junior')) as compulsory_teachers,
        sum(bachelor_teachers) filter (where stage in ('primary', 'junior')) as compulsory_bachelors
    from {{ ref('int_stage_area_year') }}
    group by period, area_code
),

both_feeds as (
    select
        pupils.period,
        pupils.area_code,
        pupils.preschool,
        pupils.primary_stage,
        pupils.junior,
        pupils.senior_general,
        teachers.preschool_teachers,
        teachers.primary_teachers,
        teachers.junior_teachers,
        teachers.senior_teachers
    from pupils
    inner join teachers
        on
            pupils.period = teachers.period
            and pupils.area_code = teachers.area_code
    where
        pupils.schools is not null
        and teachers.teachers is not null
),

money as (
    select
        period,
        area_code,
        stage,
        sum(spend_total) as spend_total,
        sum(spend_budget) as spend_budget,
        {{ average_students(
            'sum(students_start) filter (where average_students is not null)',
            'sum(students_end) filter (where average_students is not null)',
        ) }} as average_students
    from {{ ref('int_finance_unit_year') }}
    group by period, area_code, stage
),

finance as (
    select
        reported.period,
        reported.area_code,
        coalesce(sum(money.spend_total), 0) as spend_total,
        coalesce(sum(money.spend_budget) filter (where money.stage = 'primary'), 0) as budget_primary,
        coalesce(sum(money.spend_budget) filter (where money.stage = 'junior'), 0) as budget_junior,
        coalesce(sum(money.average_students) filter (where money.stage = 'primary'), 0) as students_primary,
        coalesce(sum(money.average_students) filter (where money.stage = 'junior'), 0) as students_junior
    from {{ ref('int_feed_area_year') }} as reported
    left join money
        on
            reported.period = money.period
            and reported.area_code = money.area_code
    where
        reported.feed = 'education_finance'
        and reported.is_reported
    group by reported.period, reported.area_code
)
{% for subject, indicators in subjects -%}
{%- set last_subject = loop.last -%}
{%- for indicator, numerator, denominator in indicators %}
select
    '{{ indicator }}' as indicator_id,
    period,
    area_code,
    cast({{ numerator }} as decimal(30, 10)) as numerator,
    cast({{ denominator if denominator else 'null' }} as decimal(30, 10)) as denominator
from {{ subject }}
where {{ numerator }} is not null
{%- if not (last_subject and loop.last) %}
union all
{%- endif %}
{%- endfor %}
{%- endfor %}
