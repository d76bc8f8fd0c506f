select
    stat_year,
    school_code,
    form,
    measure,
    value,
    delivery_id
from {{ source('records', 'school_census__figure') }}
where
    form in ('1102', '4155p', '4155j', '5170', '5176')
    and measure is not null
