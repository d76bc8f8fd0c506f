{#- The same two shares and two sums as in the formula; a share needs both of its sides. -#}
{%- set funds = 'fiscal_education_funds' -%}
{%- set budget = 'budget_education_spending' -%}
{%- set total = 'general_budget_spending' -%}
{%- set counted = [
    ('fiscal_education_funds', 'numerator', funds, funds),
    ('budget_education_spending', 'numerator', budget, budget),
    ('budget_education_share', 'numerator', budget, total),
    ('budget_education_share', 'denominator', total, budget),
    ('fiscal_education_share', 'numerator', funds, total),
    ('fiscal_education_share', 'denominator', total, funds),
] -%}
{% for indicator, role, column, needed in counted %}
select
    '{{ indicator }}' as indicator_id,
    areas.period,
    areas.area_code,
    '{{ role }}' as role,
    cast(accounts.{{ column }} as decimal(30, 10)) as amount,
    1 as divisor,
    accounts.delivery_id,
    '' as member,
    '' as sheet,
    accounts.row_no,
    '{{ column }}' as source_cell
from {{ ref('stg_fiscal_account') }} as accounts
inner join {{ ref('int_area_year') }} as areas
    on
        accounts.fiscal_year = areas.period
        and accounts.area_code = areas.reporting_code
where
    accounts.{{ column }} is not null
    and accounts.{{ needed }} is not null
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
