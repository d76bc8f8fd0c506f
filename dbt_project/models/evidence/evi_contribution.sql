{%- set subjects = [
    'evi_census_figure', 'evi_school', 'evi_teacher', 'evi_finance', 'evi_fiscal', 'evi_population', 'evi_condition',
] -%}
{%- set formulas = ['int_indicator_part', 'int_gross_rate_part', 'int_fiscal_part', 'int_condition_part'] -%}
with contributions as (
    {%- for subject in subjects %}
    select * from {{ ref(subject) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

parts as (
    {%- for formula in formulas %}
    select
        indicator_id,
        period,
        area_code
    from {{ ref(formula) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

-- All evidence models have the same columns.
select contributions.* -- noqa: AM04
from contributions
-- Only what the indicator was made from: an area that reported one of two feeds has no ratio.
inner join parts
    on
        contributions.indicator_id = parts.indicator_id
        and contributions.period = parts.period
        and contributions.area_code = parts.area_code
union all
select * from {{ ref('evi_city') }}
union all
select * from {{ ref('evi_official') }}
