select
    delivery_id,
    feed,
    area_code,
    period,
    part,
    reported_on,
    status,
    rows_in,
    rows_accepted,
    rows_quarantined
from {{ source('records', 'delivery') }}
