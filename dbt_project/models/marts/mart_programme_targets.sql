with years as (
    {{ year_spine() }}
),

targets as (
    select
        targets.target_id,
        targets.plan_id,
        targets.kind,
        targets.section,
        targets.box,
        targets.indicator_zh,
        targets.scope,
        targets.operator,
        targets.value_low,
        targets.value_high,
        targets.unit_zh,
        targets.duplicate_of,
        case when targets.kind = 'baseline_fact' then coalesce(targets.indicator_id, repeated.indicator_id) end
            as fact_indicator_id,
        plans.city_area_code,
        years.period as year
    from {{ ref('dim_target') }} as targets
    left join {{ ref('dim_target') }} as repeated
        on targets.duplicate_of = repeated.target_id
    inner join {{ ref('plan') }} as plans
        on targets.plan_id = plans.plan_id
    inner join years
        on
            (
                targets.kind in ('programme_target', 'text_target')
                and years.period between plans.first_year and plans.final_year
            )
            -- What the plan says was reached stands once, at the end of the baseline year.
            or (targets.kind = 'baseline_fact' and plans.baseline_year = years.period)
),

answered as (
    select
        targets.*,
        coalesce(
            own.indicator_id, base_facts.indicator_id, spans.indicator_id, other.indicator_id, partly.indicator_id
        ) as indicator_id,
        case
            when rules.target_id is not null or facts.target_id is not null then 'register'
            when own.target_id is not null or base_facts.value is not null or spans.target_id is not null
                then 'indicator'
            when other.target_id is not null then 'duplicate'
            when partly.target_id is not null then 'part'
            else 'none'
        end as answered_by,
        coalesce(own.value, facts.value, base_facts.value, spans.value, other.value, part_facts.value) as value,
        coalesce(
            own.numerator, facts.numerator, base_facts.numerator, other.numerator, part_facts.numerator
        ) as numerator,
        coalesce(
            own.denominator, facts.denominator, base_facts.denominator, other.denominator, part_facts.denominator
        ) as denominator,
        coalesce(
            own.method,
            case when facts.target_id is not null then 'register' end,
            base_facts.method,
            case when spans.value is not null then 'computed' end,
            other.method,
            part_facts.method
        ) as method,
        coalesce(own.status, 'cannot_assess') as status,
        case
            when own.target_id is not null then own.note
            when facts.target_id is not null then concat_ws('；', '基数事实，只列清点数，不评价', facts.note)
            when base_facts.value is not null then concat_ws('；', '基数事实，只列数，不评价', base_facts.note)
            when spans.target_id is not null then concat_ws('；', '基数事实，只列数，不评价', spans.note)
            when targets.fact_indicator_id is not null
                then concat_ws('；', '基数事实，只列数，不评价', '基年没有完整的指标值')
            when other.target_id is not null
                then concat_ws('；', concat('与 ', targets.duplicate_of, ' 同一指标，在该条评价'), other.note)
            when partly.target_id is not null
                then concat_ws('；', concat('只能回答一部分：', partly.covers_zh), {{ unanswered_reason('sources', "''") }})
            else {{ unanswered_reason('sources', "''") }}
        end as note,
        rules.reading_zh
    from targets
    inner join {{ ref('int_statement_source') }} as sources
        on targets.target_id = sources.target_id
    left join {{ ref('mart_plan_progress') }} as own
        on
            targets.target_id = own.target_id
            and targets.city_area_code = own.area_code
            and targets.year = own.year
    left join {{ ref('register_rule') }} as rules
        on
            own.target_id = rules.target_id
            and own.indicator_id is null
    left join {{ ref('int_register_count') }} as facts
        on
            targets.target_id = facts.target_id
            and targets.year = facts.period
            and targets.kind = 'baseline_fact'
    left join {{ ref('fct_indicator_value') }} as base_facts
        on
            targets.fact_indicator_id = base_facts.indicator_id
            and targets.city_area_code = base_facts.area_code
            and targets.year = base_facts.period
            and base_facts.publish_status <> 'partial'
    left join {{ ref('int_period_fact') }} as spans
        on targets.target_id = spans.target_id
    left join {{ ref('mart_plan_progress') }} as other
        on
            targets.duplicate_of = other.target_id
            and targets.city_area_code = other.area_code
            and targets.year = other.year
    left join {{ ref('target_partial_answer') }} as partly
        on coalesce(targets.duplicate_of, targets.target_id) = partly.target_id
    left join {{ ref('fct_indicator_value') }} as part_facts
        on
            partly.indicator_id = part_facts.indicator_id
            and targets.city_area_code = part_facts.area_code
            and targets.year = part_facts.period
)

select
    answered.target_id,
    answered.plan_id,
    answered.kind,
    answered.section,
    answered.box,
    answered.indicator_zh,
    answered.scope,
    answered.operator,
    answered.value_low,
    answered.value_high,
    answered.unit_zh,
    answered.city_area_code as area_code,
    cast(answered.year as integer) as year,
    answered.answered_by,
    answered.indicator_id,
    answered.value,
    answered.method,
    answered.status,
    case when answered.year = plans.final_year then labels.final_status_zh else labels.status_zh end as status_zh,
    answered.note,
    answered.numerator,
    answered.denominator,
    answered.reading_zh,
    {{ suppressed_cells() }} as suppressed
from answered
inner join {{ ref('plan') }} as plans
    on answered.plan_id = plans.plan_id
left join {{ ref('status_label') }} as labels
    on answered.status = labels.status
