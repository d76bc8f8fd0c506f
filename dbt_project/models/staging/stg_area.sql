select
    area_code,
    area_name_zh,
    short_name_zh,
    area_level,
    parent_code,
    group_code,
    group_name_zh,
    subgroup_zh,
    ethnic_area_zh,
    valid_from,
    valid_to,
    population_2020,
    source
from {{ ref('area') }}
