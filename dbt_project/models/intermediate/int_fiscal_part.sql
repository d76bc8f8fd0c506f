{#- Two shares live side by side: the plan's 20 per cent rests on a wider numerator than the budget's heading. -#}
{%- set indicators = [
    ('fiscal_education_funds', 'fiscal_education_funds', none),
    ('budget_education_spending', 'budget_education_spending', none),
    ('budget_education_share', 'budget_education_spending', 'general_budget_spending'),
    ('fiscal_education_share', 'fiscal_education_funds', 'general_budget_spending'),
] -%}
{% for indicator, numerator, denominator in indicators %}
select
    '{{ indicator }}' as indicator_id,
    areas.period,
    areas.area_code,
    cast(accounts.{{ numerator }} as decimal(30, 10)) as numerator,
    cast({{ 'accounts.' ~ denominator if denominator else 'null' }} as decimal(30, 10)) as denominator
from {{ ref('stg_fiscal_account') }} as accounts
inner join {{ ref('int_area_year') }} as areas
    on
        accounts.fiscal_year = areas.period
        and accounts.area_code = areas.reporting_code
where
    accounts.{{ numerator }} is not null
    {%- if denominator %}
    and accounts.{{ denominator }} is not null
    {%- endif %}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
