{%- set sums = [
    'spend_total', 'spend_fiscal', 'spend_budget', 'spend_budget_education', 'spend_budget_operating',
    'spend_budget_construction', 'budget_public_funds',
] -%}
with kinds as (
    select distinct
        school_kind as counted_kind,
        school_kind
    from {{ ref('int_finance_unit_year') }}
    union all
    select distinct
        school_kind as counted_kind,
        'all' as school_kind
    from {{ ref('int_finance_unit_year') }}
),

by_kind as (
    select
        units.period,
        units.area_code,
        {%- for name in sums %}
        units.{{ name }},
        {%- endfor %}
        units.students_start,
        units.students_end,
        units.average_students,
        kinds.school_kind
    from {{ ref('int_finance_unit_year') }} as units
    inner join kinds
        on units.school_kind = kinds.counted_kind
)

select
    period,
    area_code,
    school_kind,
    count(*) as unit_count,
    {%- for name in sums %}
    sum({{ name }}) as {{ name }},
    {%- endfor %}
    {{ average_students(
        'sum(students_start) filter (where average_students is not null)',
        'sum(students_end) filter (where average_students is not null)',
    ) }} as average_students,
    {{ average_students(
        'sum(students_start) filter (where average_students is not null and budget_public_funds is not null)',
        'sum(students_end) filter (where average_students is not null and budget_public_funds is not null)',
    ) }} as average_students_public_funds,
    count(*) filter (where spend_total is null) as units_without_spend,
    count(*) filter (where average_students is null) as units_without_students,
    count(*) filter (where budget_public_funds is null) as units_without_public_funds
from by_kind
group by period, area_code, school_kind
