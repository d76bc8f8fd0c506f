select
    delivery_id,
    feed,
    area_code,
    period,
    part,
    replaced_by,
    reason_zh
from {{ source('records', 'held') }}
