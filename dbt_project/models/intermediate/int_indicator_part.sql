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
] -%}
{%- set register_indicators = [
    ('fulltime_teachers', 'teachers', none),
    ('teacher_bachelor_share', 'compulsory_bachelors', 'compulsory_teachers'),
] -%}
{%- set joint_indicators = [
    ('primary_pupil_teacher_ratio', 'primary_stage', 'primary_teachers'),
    ('junior_pupil_teacher_ratio', 'junior', 'junior_teachers'),
    ('senior_pupil_teacher_ratio', 'senior_general', 'senior_teachers'),
] -%}
{%- set finance_indicators = [
    ('budget_spend_per_pupil_primary', 'budget_primary', 'students_primary'),
    ('budget_spend_per_pupil_junior', 'budget_junior', 'students_junior'),
    ('education_spend_total', 'spend_total', none),
] -%}
{%- set subjects = [
    ('pupils', census_indicators),
    ('teachers', register_indicators),
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
        sum(class_total) filter (where stage = 'primary') as primary_classes,
        sum(class_total) filter (where stage = 'junior') as junior_classes,
        sum(class_total) filter (where stage = 'senior_general') as senior_classes,
        sum(school_count) as schools
    from {{ ref('int_stage_area_year') }}
    group by period, area_code
),

teachers as (
    select
        period,
        area_code,
        sum(fulltime_teachers) as teachers,
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
        pupils.primary_stage,
        pupils.junior,
        pupils.senior_general,
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
