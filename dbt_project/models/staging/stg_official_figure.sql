select
    indicator_id,
    area_code,
    stat_year,
    ref_period,
    value,
    source,
    confidence,
    note,
    delivery_id,
    member,
    sheet,
    row_no,
    case
        when confidence like 'official%' then 1
        when confidence like 'high%' then 2
        when confidence like 'medium%' then 3
        else 4
    end as confidence_rank
from {{ source('records', 'official_figures__figure') }}
where
    indicator_id is not null
    and stat_year is not null
