select
    fiscal_year,
    area_code,
    unit_code,
    school_kind_code,
    form,
    amount_1,
    amount_2,
    amount_3,
    amount_4,
    amount_5,
    amount_6,
    delivery_id,
    member,
    sheet,
    row_no
from {{ source('records', 'education_finance__line') }}
where
    line_no = 1
    and form in ('jz_1', 'jz_3')
