select
    statements.target_id,
    statements.plan_id,
    links.indicator_id,
    statements.kind,
    statements.section,
    statements.box,
    statements.topic_zh,
    statements.indicator_zh,
    statements.quote_zh,
    statements.operator,
    statements.value_low,
    statements.value_high,
    statements.unit_zh,
    statements.baseline,
    statements.baseline_text,
    statements.binding,
    statements.scope,
    statements.school_level,
    statements.measure_type,
    statements.qualifier,
    statements.duplicate_of,
    statements.data_source,
    statements.note
from {{ ref('stg_plan_statement') }} as statements
left join {{ ref('target_indicator') }} as links
    on statements.target_id = links.target_id
