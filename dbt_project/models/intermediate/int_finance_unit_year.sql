with groups as (
    select
        fiscal_year,
        area_code,
        unit_code,
        sum(spend_budget) filter (where item_group = 'goods_and_services') as goods_and_services,
        sum(spend_budget) filter (where item_group = 'capital') as capital
    from {{ ref('stg_finance_group') }}
    group by fiscal_year, area_code, unit_code
),

units as (
    select
        fiscal_year,
        area_code,
        unit_code,
        max(school_kind_code) as school_kind_code,
        max(amount_1) filter (where form = 'jz_1') as students_start,
        max(amount_2) filter (where form = 'jz_1') as students_end,
        max(amount_1) filter (where form = 'jz_3') as spend_total,
        max(amount_2) filter (where form = 'jz_3') as spend_fiscal,
        max(amount_3) filter (where form = 'jz_3') as spend_budget,
        max(amount_4) filter (where form = 'jz_3') as spend_budget_education,
        max(amount_5) filter (where form = 'jz_3') as spend_budget_operating,
        max(amount_6) filter (where form = 'jz_3') as spend_budget_construction
    from {{ ref('stg_finance_total') }}
    group by fiscal_year, area_code, unit_code
)

select
    units.fiscal_year as period,
    areas.area_code,
    units.unit_code,
    kinds.stage,
    {{ finance_kind('kinds.stage') }} as school_kind,
    units.students_start,
    units.students_end,
    {{ average_students('units.students_start', 'units.students_end') }} as average_students,
    units.spend_total,
    units.spend_fiscal,
    units.spend_budget,
    units.spend_budget_education,
    units.spend_budget_operating,
    units.spend_budget_construction,
    {{ public_funds('groups.goods_and_services', 'groups.capital', 'units.spend_budget_construction') }}
        as budget_public_funds
from units
inner join {{ ref('int_area_year') }} as areas
    on
        units.fiscal_year = areas.period
        and units.area_code = areas.reporting_code
left join {{ ref('code_school_kind_finance') }} as kinds
    on units.school_kind_code = kinds.code
left join groups
    on
        units.fiscal_year = groups.fiscal_year
        and units.area_code = groups.area_code
        and units.unit_code = groups.unit_code
