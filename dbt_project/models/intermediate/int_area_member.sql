with leaves as (
    select * from {{ ref('int_area_year') }}
),

wholes as (
    select * from {{ ref('stg_area') }}
    where area_level in ('city', 'group')
)

select
    leaves.period,
    leaves.area_code,
    leaves.area_level,
    leaves.area_code as part_area_code
from leaves
union all
select
    leaves.period,
    wholes.area_code,
    wholes.area_level,
    leaves.area_code as part_area_code
from leaves
inner join wholes
    on (
        (wholes.area_level = 'city' and leaves.parent_code = wholes.area_code)
        or (wholes.area_level = 'group' and leaves.area_level = 'district' and leaves.group_code = wholes.area_code)
    )
where
    wholes.valid_from <= {{ census_day('leaves.period') }}
    and coalesce(wholes.valid_to >= {{ census_day('leaves.period') }}, true)
