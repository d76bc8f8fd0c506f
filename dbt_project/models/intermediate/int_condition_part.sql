{#- Money and area per learner of the schools that handed in the form on premises; the others are in neither side. -#}
{%- set measures = [
    ('building_area', 'building_area_m2', 1),
    ('books', 'books', 1),
    ('equipment', 'equipment_value_wan', 10000),
] -%}
{% for part in ['compulsory', 'vocational'] %}
{%- set last_part = loop.last -%}
{%- for name, measure, factor in measures %}
select
    '{{ part }}_{{ name }}_per_student' as indicator_id,
    period,
    area_code,
    cast(sum({{ part }}_{{ measure }}) * {{ factor }} as decimal(30, 10)) as numerator,
    cast(sum({{ part }}_learners) as decimal(30, 10)) as denominator
from {{ ref('int_school_condition') }}
where {{ part }}_learners > 0
group by period, area_code
{%- if not (last_part and loop.last) %}
union all
{%- endif %}
{%- endfor %}
{%- endfor %}
