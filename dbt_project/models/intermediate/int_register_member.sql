{#- What the shares of the register are shares of: the districts at the end of a year, the schools of its census. -#}
with years as (
    {{ year_spine() }}
)

select
    'districts' as denominator,
    years.period,
    areas.area_code as object_code,
    areas.area_code
from years
inner join {{ ref('stg_area') }} as areas
    on
        areas.area_level in ('district', 'unconfirmed')
        and areas.valid_from <= {{ year_end('years.period') }}
        and coalesce(areas.valid_to >= {{ year_end('years.period') }}, true)
union all
select
    'senior_general_schools' as denominator,
    period,
    school_code as object_code,
    area_code
from {{ ref('int_school_year') }}
where
    counts_as_school
    and concat('|', stages, '|') like '%|senior_general|%'
union all
select
    'ethnic_area_schools' as denominator,
    schools.period,
    schools.school_code as object_code,
    schools.area_code
from {{ ref('int_school_year') }} as schools
inner join {{ ref('stg_area') }} as areas
    on schools.area_code = areas.area_code
where
    schools.counts_as_school
    and areas.ethnic_area_zh is not null
    and areas.ethnic_area_zh <> ''
