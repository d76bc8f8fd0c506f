select
    indicator_id,
    area_code,
    area_level,
    period,
    ref_period,
    value,
    numerator,
    denominator,
    unit,
    'computed' as method,
    publish_status,
    cast(reported_units as integer) as reported_units,
    cast(expected_units as integer) as expected_units,
    as_of,
    note,
    {{ suppressed_cells() }} as suppressed
from {{ ref('int_indicator_computed') }}
union all
select
    indicator_id,
    area_code,
    area_level,
    period,
    ref_period,
    value,
    cast(null as decimal(24, 4)) as numerator,
    cast(null as decimal(24, 4)) as denominator,
    unit,
    'official' as method,
    'final' as publish_status,
    cast(null as integer) as reported_units,
    cast(null as integer) as expected_units,
    cast(null as date) as as_of,
    note,
    {{ suppressed_cells() }} as suppressed
from {{ ref('int_indicator_official') }}
