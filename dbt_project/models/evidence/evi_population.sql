{#- Residents of the official age groups: the denominators of the gross rates. -#}
{%- set counted = [
    ('pre_gross_enrolment', 3, 5),
    ('compulsory_gross_enrolment', 6, 14),
    ('senior_gross_enrolment', 15, 17),
] -%}
{% for indicator, first_age, last_age in counted %}
select
    '{{ indicator }}' as indicator_id,
    areas.period,
    areas.area_code,
    'denominator' as role,
    cast(residents.residents as decimal(30, 10)) as amount,
    1 as divisor,
    residents.delivery_id,
    residents.member,
    residents.sheet,
    residents.row_no,
    'residents' as source_cell
from {{ ref('stg_population_resident') }} as residents
inner join {{ ref('int_area_year') }} as areas
    on
        residents.stat_year = areas.period
        and residents.area_code = areas.area_code
where
    areas.area_level = 'district'
    and {{ in_age_group('residents', first_age, last_age) }}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
