{#- Learners of all ages over the residents of the official age group. Municipal schools have learners and no residents
    of their own: they count in the city's rate and have none themselves. -#}
{%- set rates = [
    ('pre_gross_enrolment', "learners.stage = 'preschool'", 'residents_3_5'),
    ('compulsory_gross_enrolment', "learners.stage in ('primary', 'junior')", 'residents_6_14'),
    ('senior_gross_enrolment', "learners.stage in ('senior_general', 'senior_vocational')", 'residents_15_17'),
] -%}
with reported as (
    select
        period,
        area_code
    from {{ ref('int_feed_area_year') }}
    where
        is_reported
        and feed in ('school_census', 'population')
    group by period, area_code
    having count(*) = 2
)
{% for indicator, stages, residents in rates %}
select
    '{{ indicator }}' as indicator_id,
    reported.period,
    reported.area_code,
    cast(sum(learners.enrolment) as decimal(30, 10)) as numerator,
    cast(max(people.{{ residents }}) as decimal(30, 10)) as denominator
from reported
inner join {{ ref('int_stage_area_year') }} as learners
    on
        reported.period = learners.period
        and reported.area_code = learners.area_code
        and {{ stages }}
left join {{ ref('int_population_area_year') }} as people
    on
        reported.period = people.period
        and reported.area_code = people.area_code
group by reported.period, reported.area_code
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
