select
    indicator_id,
    headline_no,
    name_zh,
    name_en,
    topic_zh,
    unit_zh,
    direction,
    method_expected,
    replace(feeds, '|', ',') as feeds,
    formula_zh,
    numerator_zh,
    denominator_zh,
    source_zh,
    decimals,
    series_version
from {{ ref('indicator') }}
