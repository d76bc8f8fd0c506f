with years as (
    {{ year_spine() }}
)

select
    years.period,
    areas.area_code,
    areas.area_level,
    areas.area_name_zh,
    areas.parent_code,
    areas.group_code,
    case when areas.area_level = 'municipal' then areas.parent_code else areas.area_code end as reporting_code
from years
inner join {{ ref('stg_area') }} as areas
    on
        areas.valid_from <= {{ census_day('years.period') }}
        and coalesce(areas.valid_to >= {{ census_day('years.period') }}, true)
where areas.area_level in ('district', 'municipal')
