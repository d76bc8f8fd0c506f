with years as (
    {{ year_spine() }}
),

joined as (
    select
        targets.target_id,
        targets.indicator_id,
        targets.plan_id,
        plans.city_area_code as area_code,
        years.period as year,
        plans.baseline_year,
        plans.final_year,
        years.period = plans.final_year as is_final,
        targets.baseline,
        coalesce(targets.value_low, targets.value_high) as target,
        targets.operator,
        targets.qualifier,
        targets.measure_type,
        targets.binding,
        indicators.direction,
        facts.value,
        facts.method,
        facts.publish_status,
        facts.note as fact_note
    from {{ ref('dim_target') }} as targets
    inner join {{ ref('dim_indicator') }} as indicators
        on targets.indicator_id = indicators.indicator_id
    inner join {{ ref('plan') }} as plans
        on targets.plan_id = plans.plan_id
    inner join years
        on years.period between plans.first_year and plans.final_year
    left join {{ ref('indicator_scope') }} as scopes
        on targets.indicator_id = scopes.indicator_id
    left join {{ ref('fct_indicator_value') }} as facts
        on
            targets.indicator_id = facts.indicator_id
            and plans.city_area_code = facts.area_code
            and years.period = facts.period
    where targets.scope = coalesce(scopes.scope_zh, '全市')
),

ruled as (
    select
        joined.*,
        coalesce(joined.publish_status <> 'partial', false) as is_complete,
        {{ progress_rule('joined.baseline', 'joined.target', 'joined.direction') }} as judged_as,
        {{ target_met('joined.value', 'joined.operator', 'joined.target', 'joined.direction') }} as is_met,
        {{ level_held('joined.value', 'joined.target', 'joined.direction') }} as is_held,
        {{ is_approximate('joined.operator', 'joined.qualifier') }} as is_approximate
    from joined
),

paced as (
    select
        ruled.*,
        case
            when ruled.judged_as = 'pace'
                then {{ pace_expected(
                    'ruled.baseline', 'ruled.target', 'ruled.year', 'ruled.baseline_year', 'ruled.final_year'
                ) }}
            when ruled.judged_as in ('maintain', 'floor') then ruled.target
        end as expected_by_now,
        case
            when ruled.judged_as = 'pace' and ruled.is_complete
                then {{ pace_ratio(
                    'ruled.baseline', 'ruled.target', 'ruled.value',
                    'ruled.year', 'ruled.baseline_year', 'ruled.final_year',
                ) }}
        end as pace_ratio,
        case
            when ruled.is_complete then {{ gap_to_target('ruled.target', 'ruled.value', 'ruled.direction') }}
        end as gap,
        case
            when ruled.is_complete and not ruled.is_final
                then {{ forecast_linear(
                    'ruled.baseline', 'ruled.value', 'ruled.year', 'ruled.baseline_year', 'ruled.final_year'
                ) }}
        end as forecast,
        {{ unassessable_reason(
            'ruled.value', 'ruled.publish_status', 'ruled.judged_as',
            'ruled.is_met', 'ruled.is_final', 'ruled.is_approximate',
        ) }} as reason
    from ruled
),

judged as (
    select
        paced.*,
        {{ progress_status(
            'paced.reason', 'paced.judged_as', 'paced.is_met', 'paced.is_held', 'paced.is_final', 'bands.status'
        ) }} as status
    from paced
    left join {{ ref('progress_band') }} as bands
        on
            coalesce(paced.pace_ratio >= bands.lower_bound, bands.lower_bound is null and paced.pace_ratio is not null)
            and coalesce(paced.pace_ratio < bands.upper_bound, true)
)

select
    judged.target_id,
    judged.indicator_id,
    judged.plan_id,
    judged.area_code,
    judged.year,
    judged.baseline,
    judged.target,
    judged.operator,
    judged.binding,
    judged.value,
    judged.method,
    judged.expected_by_now,
    judged.pace_ratio,
    judged.status,
    case when judged.is_final then labels.final_status_zh else labels.status_zh end as status_zh,
    judged.gap,
    judged.forecast,
    {{ progress_note('judged') }} as note
from judged
left join {{ ref('status_label') }} as labels
    on judged.status = labels.status
