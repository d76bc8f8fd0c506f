with units as (
    select
        fiscal_year,
        area_code,
        unit_code,
        max(school_kind_code) as school_kind_code,
        max(amount_1) filter (where form = 'jz_1') as students_start,
        max(amount_2) filter (where form = 'jz_1') as students_end,
        max(amount_1) filter (where form = 'jz_3') as spend_total,
        max(amount_3) filter (where form = 'jz_3') as spend_budget
    from {{ ref('stg_finance_total') }}
    group by fiscal_year, area_code, unit_code
)

select
    units.fiscal_year as period,
    areas.area_code,
    units.unit_code,
    kinds.stage,
    units.students_start,
    units.students_end,
    {{ average_students('units.students_start', 'units.students_end') }} as average_students,
    units.spend_total,
    units.spend_budget
from units
inner join {{ ref('int_area_year') }} as areas
    on
        units.fiscal_year = areas.period
        and units.area_code = areas.reporting_code
left join {{ ref('code_school_kind_finance') }} as kinds
    on units.school_kind_code = kinds.code
