with based as (
    select
        years.*,
        coalesce(years.measure_type = 'cumulative_new_count' or years.count_kind = 'new', false) as is_cumulative,
        case
            when years.measure_type = 'cumulative_new_count' or years.count_kind = 'new' then cast(0 as double)
            when years.baseline is not null then years.baseline
            when coalesce(years.baseline_text, '') = '' then years.value_at_baseline
        end as baseline_used,
        case
            when years.measure_type = 'cumulative_new_count' or years.count_kind = 'new' then 'zero'
            when years.baseline is not null then 'plan'
            when coalesce(years.baseline_text, '') = '' and years.value_at_baseline is not null then 'data'
        end as baseline_source
    from {{ ref('int_target_year') }} as years
),

ruled as (
    select
        based.*,
        coalesce(based.publish_status <> 'partial', false) as is_complete,
        -- A direction is read from the plan's own number, else from the first value of the same series.
        coalesce(
            case when based.break_zh is null then coalesce(based.baseline, based.value_at_baseline) end,
            based.start_value
        ) as compared_with,
        {{ progress_rule('based.baseline_used', 'based.target', 'based.direction') }} as judged_as,
        {{ target_met('based.value', 'based.operator', 'based.target', 'based.direction') }} as meets_number,
        {{ target_met(
            'round(based.value, based.decimals)', 'based.operator', 'based.target', 'based.direction'
        ) }} as met_as_published,
        {{ level_held('based.value', 'based.target', 'based.direction') }} as is_held,
        {{ is_approximate('based.operator', 'based.qualifier') }} as is_approximate
    from based
),

typed as (
    select
        ruled.*,
        {{ target_type('ruled') }} as target_type,
        case
            when ruled.operator in ('trend_up', 'trend_down')
                then {{ trend_met('ruled.value', 'ruled.compared_with', 'ruled.operator') }}
            else ruled.meets_number
        end as is_met,
        coalesce({{ trend_lost('ruled.value', 'ruled.compared_with', 'ruled.operator') }}, false) as is_lost,
        {{ compound_growth(
            'ruled.baseline_used', 'ruled.target', '(ruled.final_year - ruled.baseline_year)'
        ) }} as required_growth,
        {{ compound_growth('ruled.baseline_used', 'ruled.value', '(ruled.year - ruled.baseline_year)') }}
            as actual_growth,
        case
            when ruled.is_final or not ruled.is_complete or ruled.value is null then cast(null as varchar)
            when ruled.operator = 'state' then cast(null as varchar)
            when ruled.baseline_used is not null and ruled.series_note is null then 'linear_from_baseline'
            when ruled.start_value is not null then 'linear_in_series'
        end as forecast_method
    from ruled
),

reasoned as (
    select
        typed.*,
        {{ unassessable_reason('typed') }} as reason
    from typed
),

paced as (
    select
        reasoned.*,
        coalesce(reasoned.reason, '') <> 'definition_changed' and reasoned.is_complete as is_comparable,
        case
            when reasoned.judged_as = 'pace'
                then {{ pace_expected(
                    'reasoned.baseline_used', 'reasoned.target', 'reasoned.year', 'reasoned.baseline_year', 'reasoned.final_year'
                ) }}
            when reasoned.judged_as in ('maintain', 'floor') then reasoned.target
        end as expected_by_now,
        case
            when
                reasoned.judged_as = 'pace'
                and reasoned.is_complete
                and coalesce(reasoned.reason, '') <> 'definition_changed'
                then {{ pace_ratio(
                    'reasoned.baseline_used', 'reasoned.target', 'reasoned.value',
                    'reasoned.year', 'reasoned.baseline_year', 'reasoned.final_year',
                ) }}
        end as pace_ratio,
        case
            when reasoned.is_complete
                then {{ gap_to_target('reasoned.target', 'reasoned.value', 'reasoned.direction') }}
        end as gap,
        case reasoned.forecast_method
            when 'linear_from_baseline'
                then {{ forecast_linear(
                    'reasoned.baseline_used', 'reasoned.value',
                    'reasoned.year', 'reasoned.baseline_year', 'reasoned.final_year'
                ) }}
            when 'linear_in_series'
                then {{ forecast_in_series(
                    'reasoned.start_value', 'reasoned.start_year', 'reasoned.value', 'reasoned.year', 'reasoned.final_year'
                ) }}
        end as forecast
    from reasoned
),

judged as (
    select
        paced.*,
        case
            when paced.judged_as = 'pace' and paced.is_comparable
                then paced.actual_growth / nullif(paced.required_growth, 0)
        end as open_sdg_ratio,
        {{ progress_status('paced', 'bands.status') }} as status
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
    {{ progress_note('judged') }} as note,
    judged.target_type,
    {{ target_type_zh('judged.target_type') }} as target_type_zh,
    judged.target_high,
    judged.baseline_used,
    judged.baseline_source,
    judged.numerator,
    judged.denominator,
    judged.publish_status,
    judged.reason,
    judged.is_met,
    round(judged.value, judged.decimals) as value_published,
    case when judged.operator not in ('trend_up', 'trend_down') then judged.met_as_published end as is_met_as_published,
    judged.forecast_method,
    judged.required_growth,
    case when judged.is_comparable then judged.actual_growth end as actual_growth,
    judged.open_sdg_ratio,
    {{ open_sdg_reading('judged.open_sdg_ratio', 'judged.is_met') }} as open_sdg_reading,
    judged.series_note,
    {{ suppressed_cells() }} as suppressed
from judged
left join {{ ref('status_label') }} as labels
    on judged.status = labels.status
