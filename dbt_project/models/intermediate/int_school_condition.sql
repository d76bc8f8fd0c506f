{#- What a school has, for the learners of each part of it: a school of several stages shares by learners. -#}
{%- set measures = ['building_area_m2', 'books', 'equipment_value_wan'] -%}
with pivoted as (
    select
        delivery_id,
        stat_year,
        school_code,
        {%- for measure in measures %}
        sum(value) filter (where measure = '{{ measure }}') as {{ measure }},
        {%- endfor %}
        count(*) as cells
    from {{ ref('stg_census_condition') }}
    group by delivery_id, stat_year, school_code
),

learners as (
    select
        period,
        school_code,
        area_code,
        sum(enrolment) as all_learners,
        sum(enrolment) filter (where stage in ('primary', 'junior')) as compulsory_learners,
        sum(enrolment) filter (where stage = 'senior_vocational') as vocational_learners
    from {{ ref('int_school_stage_year') }}
    group by period, school_code, area_code
)

select
    schools.period,
    schools.area_code,
    schools.school_code,
    {%- for part in ['compulsory', 'vocational'] %}
    {%- for measure in measures %}
    {%- set own = 'learners.' ~ part ~ '_learners' %}
    {{ share_of_school('coalesce(pivoted.' ~ measure ~ ', 0)', own, 'learners.all_learners') }}
        as {{ part }}_{{ measure }},
    {%- endfor %}
    {%- endfor %}
    learners.compulsory_learners,
    learners.vocational_learners
from pivoted
inner join {{ ref('int_school_year') }} as schools
    on
        pivoted.delivery_id = schools.delivery_id
        and pivoted.stat_year = schools.period
        and pivoted.school_code = schools.school_code
inner join learners
    on
        schools.period = learners.period
        and schools.school_code = learners.school_code
        and learners.all_learners > 0
