select
    fiscal_year,
    area_code,
    unit_code,
    {{ finance_item_group('item') }} as item_group,
    amount_3 as spend_budget,
    delivery_id
from {{ source('records', 'education_finance__line') }}
where
    form = 'jz_3'
    and {{ finance_item_group('item') }} is not null
