{%- set counts = ['enrolment', 'entrants', 'graduates', 'expected_graduates', 'female'] -%}
{%- set class_sizes = ['class_total', 'class_le45', 'class_46_50', 'class_46_55', 'class_56_65', 'class_ge66'] -%}
{%- set stages = ['preschool', 'primary', 'junior', 'senior_general', 'senior_vocational', 'special'] -%}
with stages as (
    {%- for stage in stages %}
    select '{{ stage }}' as stage
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

reported as (
    select
        period,
        area_code,
        count(*) filter (where feed = 'school_census') > 0 as has_census,
        count(*) filter (where feed = 'teacher_register') > 0 as has_register
    from {{ ref('int_feed_area_year') }}
    where
        is_reported
        and feed in ('school_census', 'teacher_register')
    group by period, area_code
),

counted_schools as (
    select
        period,
        area_code,
        counting_stage as stage,
        count(*) as school_count
    from {{ ref('int_school_year') }}
    where counts_as_school
    group by period, area_code, counting_stage
),

pupils as (
    select
        period,
        area_code,
        stage,
        {%- for name in counts + class_sizes %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        sum(class_count) as class_count,
        sum(case when is_public then enrolment else 0 end) as enrolment_public,
        sum(case when is_urban then enrolment else 0 end) as enrolment_urban,
        sum(case when is_inclusive then enrolment else 0 end) as enrolment_inclusive
    from {{ ref('int_school_stage_year') }}
    group by period, area_code, stage
)

select
    reported.period,
    reported.area_code,
    stages.stage,
    case when reported.has_census then coalesce(counted_schools.school_count, 0) end as school_count,
    {%- for name in counts %}
    case when reported.has_census then coalesce(pupils.{{ name }}, 0) end as {{ name }},
    {%- endfor %}
    case
        when reported.has_census and {{ has_class_form('stages.stage') }} then coalesce(pupils.class_count, 0)
    end as class_count,
    {%- for name in class_sizes %}
    case
        when reported.has_census and {{ has_class_sizes('stages.stage') }} then coalesce(pupils.{{ name }}, 0)
    end as {{ name }},
    {%- endfor %}
    case when reported.has_census then coalesce(pupils.enrolment_public, 0) end as enrolment_public,
    case when reported.has_census then coalesce(pupils.enrolment_urban, 0) end as enrolment_urban,
    case when reported.has_census then coalesce(pupils.enrolment_inclusive, 0) end as enrolment_inclusive,
    case when reported.has_register then coalesce(teachers.fulltime_teachers, 0) end as fulltime_teachers,
    case when reported.has_register then coalesce(teachers.bachelor_teachers, 0) end as bachelor_teachers
from reported
cross join stages
left join counted_schools
    on
        reported.period = counted_schools.period
        and reported.area_code = counted_schools.area_code
        and stages.stage = counted_schools.stage
left join pupils
    on
        reported.period = pupils.period
        and reported.area_code = pupils.area_code
        and stages.stage = pupils.stage
left join {{ ref('int_teacher_quality') }} as teachers
    on
        reported.period = teachers.period
        and reported.area_code = teachers.area_code
        and stages.stage = teachers.stage
