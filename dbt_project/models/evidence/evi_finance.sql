{#- indicator, role, stage of the units, form, column, weight, divisor. The year's average of students is two thirds of
    those at its start and one third of those at its end; the twelfths are divided once, as in the formula. -#}
{%- set counted = [
    ('education_spend_total', 'numerator', none, 'jz_3', 'amount_1', 1, 1),
] -%}
{%- for stage in ['primary', 'junior'] -%}
{%- set id = 'budget_spend_per_pupil_' ~ stage -%}
{%- do counted.append((id, 'numerator', stage, 'jz_3', 'amount_3', 1, 1)) -%}
{%- do counted.append((id, 'denominator', stage, 'jz_1', 'amount_1', 8, 12)) -%}
{%- do counted.append((id, 'denominator', stage, 'jz_1', 'amount_2', 4, 12)) -%}
{%- endfor -%}
with lines as (
    select
        units.period,
        units.area_code,
        units.stage,
        units.average_students is not null as has_students,
        totals.form,
        totals.unit_code,
        totals.amount_1,
        totals.amount_2,
        totals.amount_3,
        totals.delivery_id,
        totals.member,
        totals.sheet,
        totals.row_no
    from {{ ref('stg_finance_total') }} as totals
    inner join {{ ref('int_area_year') }} as areas
        on
            totals.fiscal_year = areas.period
            and totals.area_code = areas.reporting_code
    inner join {{ ref('int_finance_unit_year') }} as units
        on
            totals.fiscal_year = units.period
            and areas.area_code = units.area_code
            and totals.unit_code = units.unit_code
)
{% for indicator, role, stage, form, column, weight, divisor in counted %}
select
    '{{ indicator }}' as indicator_id,
    period,
    area_code,
    '{{ role }}' as role,
    cast({{ column }} * {{ weight }} as decimal(30, 10)) as amount,
    {{ divisor }} as divisor,
    delivery_id,
    member,
    sheet,
    row_no,
    '{{ column }}' as source_cell
from lines
where
    form = '{{ form }}'
    and {{ column }} <> 0
    {%- if stage %}
    and stage = '{{ stage }}'
    {%- endif %}
    {%- if divisor == 12 %}
    and has_students
    {%- endif %}
qualify
    row_number() over (
        partition by period, area_code, unit_code
        order by {{ column }} desc, delivery_id asc, row_no asc
    ) = 1
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
