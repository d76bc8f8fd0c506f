{#- Fiscal accounts by area and year: districts, the city's own level, and groups and the whole city as sums. -#}
{%- set amounts = [
    'general_budget_spending', 'budget_education_spending', 'education_operating', 'capital_construction',
    'education_surcharge', 'fiscal_education_funds', 'education_appropriation', 'recurrent_revenue',
] -%}
with accounts as (
    select
        members.area_code,
        members.area_level,
        members.period as fiscal_year,
        members.part_area_code,
        names.area_name_zh,
        accounts.area_code is not null as is_reported,
        accounts.status,
        {%- for amount in amounts %}
        accounts.{{ amount }},
        {%- endfor %}
        accounts.civil_servant_pay,
        accounts.teacher_pay
    from {{ ref('int_area_member') }} as members
    inner join {{ ref('int_area_year') }} as names
        on
            members.period = names.period
            and members.part_area_code = names.area_code
    left join {{ ref('stg_fiscal_account') }} as accounts
        on
            members.period = accounts.fiscal_year
            and names.reporting_code = accounts.area_code
),

summed as (
    select
        area_code,
        area_level,
        fiscal_year,
        count(*) as expected_units,
        count(*) filter (where is_reported) as reported_units,
        count(*) filter (where status = 'preliminary') as preliminary_units,
        {%- for amount in amounts %}
        -- One part without an amount leaves the whole without one: a sum of the rest would be silently smaller.
        case when count({{ amount }}) = count(*) filter (where is_reported) then sum({{ amount }}) end as {{ amount }},
        {%- endfor %}
        -- Average pay has no sum; it stands for single areas only.
        case when count(*) = 1 then max(civil_servant_pay) end as civil_servant_pay,
        case when count(*) = 1 then max(teacher_pay) end as teacher_pay
    from accounts
    group by area_code, area_level, fiscal_year
)

select
    area_code,
    area_level,
    fiscal_year,
    {%- for amount in amounts %}
    {{ amount }},
    {%- endfor %}
    civil_servant_pay,
    teacher_pay,
    expected_units,
    reported_units,
    preliminary_units,
    case
        when reported_units < expected_units then 'partial'
        when preliminary_units > 0 then 'preliminary'
        else 'final'
    end as publish_status,
    nullif(
        concat_ws(
            '；',
            case
                when reported_units < expected_units
                    then {{ count_text('缺', 'expected_units - reported_units', '个地区的财政决算') }}
            end,
            case when preliminary_units > 0 then {{ count_text('有', 'preliminary_units', '个地区为快报') }} end
        ),
        ''
    ) as note
from summed
-- A year that anybody has reported has a row for everybody, so that who is missing is seen.
where fiscal_year in (select fiscal_years.fiscal_year from {{ ref('stg_fiscal_account') }} as fiscal_years)
