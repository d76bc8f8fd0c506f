select
    feed,
    title_zh,
    per_area,
    parts,
    first_year,
    period_kind,
    length(parts) - length(replace(parts, ',', '')) + 1 as parts_expected
from {{ source('records', 'feed') }}
