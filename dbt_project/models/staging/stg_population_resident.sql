with ranked as (
    select
        residents.stat_year,
        residents.area_code,
        residents.version,
        residents.age_from,
        residents.age_to,
        residents.residents,
        residents.published_on,
        residents.delivery_id,
        residents.member,
        residents.sheet,
        residents.row_no,
        rank() over (
            partition by residents.area_code, residents.stat_year
            order by versions.rank
        ) as version_rank
    from {{ source('records', 'population__resident') }} as residents
    inner join {{ ref('code_population_version') }} as versions
        on residents.version = versions.code
)

select
    stat_year,
    area_code,
    version,
    age_from,
    age_to,
    residents,
    published_on,
    delivery_id,
    member,
    sheet,
    row_no
from ranked
where version_rank = 1
