select
    stat_year,
    school_code,
    form,
    measure,
    value,
    delivery_id,
    member,
    sheet,
    row_no,
    source_cell
from {{ source('records', 'school_census__figure') }}
where
    form in ('5176', '5377')
    and measure in ('building_area_m2', 'books', 'equipment_value_wan')
