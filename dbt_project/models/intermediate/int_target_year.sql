{#- What a target is judged on in a plan year: its numbers, the year's value and where it comes from, its baseline. -#}
with years as (
    {{ year_spine() }}
),

data_years as (
    select max(period) as last_period
    from {{ ref('stg_delivery') }}
    where status in ('accepted', 'partly')
),

targets as (
    select
        targets.target_id,
        targets.plan_id,
        targets.indicator_id,
        targets.operator,
        targets.value_low as target,
        targets.value_high,
        targets.baseline,
        targets.baseline_text,
        targets.binding,
        targets.measure_type,
        targets.qualifier,
        plans.city_area_code as area_code,
        plans.baseline_year,
        plans.first_year,
        plans.final_year,
        coalesce(indicators.direction, 'up') as direction,
        -- Counts are whole; a share of the register is shown like the shares of the indicators.
        coalesce(indicators.decimals, case when rules.count_kind = 'share' then 2 else 0 end) as decimals,
        rules.count_kind,
        rules.denominator as counted_of
    from {{ ref('dim_target') }} as targets
    inner join {{ ref('plan') }} as plans
        on targets.plan_id = plans.plan_id
    left join {{ ref('stg_area') }} as areas
        on plans.city_area_code = areas.area_code
    left join {{ ref('dim_indicator') }} as indicators
        on targets.indicator_id = indicators.indicator_id
    left join {{ ref('indicator_scope') }} as scopes
        on targets.indicator_id = scopes.indicator_id
    left join {{ ref('register_rule') }} as rules
        on
            targets.target_id = rules.target_id
            and targets.indicator_id is null
    where
        targets.kind in ('headline_indicator', 'programme_target', 'text_target')
        and (
            rules.target_id is not null
            or (
                targets.indicator_id is not null
                and targets.scope in (
                    coalesce(scopes.scope_zh, '全市'),
                    coalesce(scopes.scope_zh, '全市（以区县为单位）'),
                    coalesce(scopes.scope_zh, areas.area_name_zh, '')
                )
            )
        )
),

facts as (
    select
        targets.target_id,
        facts.period,
        facts.value,
        facts.numerator,
        facts.denominator,
        facts.method,
        facts.publish_status,
        facts.note,
        facts.series_segment as segment
    from targets
    inner join {{ ref('fct_indicator_value') }} as facts
        on
            targets.indicator_id = facts.indicator_id
            and targets.area_code = facts.area_code
    union all
    select
        target_id,
        period,
        value,
        numerator,
        denominator,
        'register' as method,
        publish_status,
        note,
        '' as segment
    from {{ ref('int_register_count') }}
),

starts as (
    -- Where the line begins that a value may be compared with: the first complete value of its own segment.
    select
        targets.target_id,
        facts.segment,
        min(facts.period) as start_year
    from targets
    inner join facts
        on targets.target_id = facts.target_id
    where
        facts.period >= targets.baseline_year
        and facts.publish_status <> 'partial'
        and facts.value is not null
    group by targets.target_id, facts.segment
),

crossed as (
    select
        targets.target_id,
        facts.period,
        {{ join_texts('breaks.title_zh', '、', 'breaks.first_year', 'breaks.breaks_progress') }} as break_zh,
        {{ join_texts('breaks.note_zh', '；', 'breaks.first_year', 'true') }} as series_note
    from targets
    inner join facts
        on targets.target_id = facts.target_id
    inner join {{ ref('series_break') }} as breaks
        on
            (
                targets.indicator_id = breaks.indicator_id
                or (breaks.indicator_id is null and breaks.area_code is not null)
            )
            and (breaks.area_code is null or targets.area_code = breaks.area_code)
            and (breaks.method is null or facts.method = breaks.method)
            and targets.baseline_year < breaks.first_year
            and facts.period >= breaks.first_year
    group by targets.target_id, facts.period
)

select
    targets.target_id,
    targets.plan_id,
    targets.indicator_id,
    targets.area_code,
    years.period as year,
    targets.baseline_year,
    targets.final_year,
    years.period = targets.final_year as is_final,
    years.period <= coalesce(data_years.last_period, years.period) as is_due,
    targets.operator,
    targets.qualifier,
    targets.measure_type,
    targets.binding,
    targets.direction,
    targets.decimals,
    targets.count_kind,
    targets.counted_of,
    targets.baseline,
    targets.baseline_text,
    coalesce(targets.target, targets.value_high) as target,
    targets.value_high as target_high,
    case when based.publish_status <> 'partial' then based.value end as value_at_baseline,
    facts.value,
    facts.numerator,
    facts.denominator,
    facts.method,
    facts.publish_status,
    facts.note as fact_note,
    case when starts.start_year < years.period then starts.start_year end as start_year,
    case when starts.start_year < years.period then begun.value end as start_value,
    crossed.break_zh,
    crossed.series_note
from targets
inner join years
    on years.period between targets.first_year and targets.final_year
cross join data_years
left join facts
    on
        targets.target_id = facts.target_id
        and years.period = facts.period
left join facts as based
    on
        targets.target_id = based.target_id
        and targets.baseline_year = based.period
left join starts
    on
        facts.target_id = starts.target_id
        and facts.segment = starts.segment
left join facts as begun
    on
        starts.target_id = begun.target_id
        and starts.start_year = begun.period
left join crossed
    on
        facts.target_id = crossed.target_id
        and facts.period = crossed.period
