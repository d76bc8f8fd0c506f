with ranked as (
    select
        people.stat_year,
        people.area_code,
        people.version,
        people.age_group_from,
        people.age_group_to,
        people.attainment,
        levels.years as schooling_years,
        people.residents,
        people.published_on,
        people.delivery_id,
        people.row_no,
        rank() over (
            partition by people.area_code, people.stat_year
            order by versions.rank
        ) as version_rank
    from {{ source('records', 'population__attainment') }} as people
    inner join {{ ref('code_population_version') }} as versions
        on people.version = versions.code
    inner join {{ ref('code_attainment') }} as levels
        on people.attainment = levels.code
)

select
    stat_year,
    area_code,
    version,
    age_group_from,
    age_group_to,
    attainment,
    schooling_years,
    residents,
    published_on,
    delivery_id,
    row_no
from ranked
where version_rank = 1
