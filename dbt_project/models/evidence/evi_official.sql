select
    indicator_id,
    period,
    area_code,
    'value' as role,
    cast(value as decimal(30, 10)) as amount,
    1 as divisor,
    delivery_id,
    member,
    sheet,
    row_no,
    '' as source_cell
from {{ ref('int_indicator_official') }}
