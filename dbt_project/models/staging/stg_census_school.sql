select
    stat_year,
    area_code,
    school_code,
    school_name,
    school_type_code,
    organiser_code,
    urban_rural_code,
    kindergarten_grade,
    inclusive_private,
    group_schooling,
    district_schooling,
    delivery_id,
    member,
    sheet,
    row_no
from {{ source('records', 'school_census__school') }}
