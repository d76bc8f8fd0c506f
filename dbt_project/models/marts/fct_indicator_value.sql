{#- One value an indicator, area and period. What records give in full stands before what was published; where records
    are incomplete and a published figure may stand in, it does. The one that does not stand is named in the note.
    Which stretch of its line a value lies on stands beside it: no change is read from one stretch to another. -#}
with weighed as (
    select
        indicators.indicator_id,
        indicators.decimals,
        computed.indicator_id is not null and (
            official.indicator_id is null
            or computed.publish_status <> 'partial'
            or not indicators.official_fallback
        ) as is_computed,
        computed.indicator_id is null and not indicators.official_fallback and indicators.method_expected <> 'official'
            as is_left_out,
        computed.area_code as computed_area_code,
        computed.area_level as computed_area_level,
        computed.period as computed_period,
        computed.ref_period as computed_ref_period,
        computed.value as computed_value,
        computed.numerator,
        computed.denominator,
        computed.publish_status,
        computed.reported_units,
        computed.expected_units,
        computed.as_of,
        computed.note as computed_note,
        official.area_code,
        official.area_level,
        official.period,
        official.ref_period,
        official.value,
        official.note,
        indicators.unit_zh as unit
    from {{ ref('int_indicator_computed') }} as computed
    full outer join {{ ref('int_indicator_official') }} as official
        on
            computed.indicator_id = official.indicator_id
            and computed.area_code = official.area_code
            and computed.period = official.period
    inner join {{ ref('indicator') }} as indicators
        on coalesce(computed.indicator_id, official.indicator_id) = indicators.indicator_id
),

standing as (
    select
        indicator_id,
        computed_area_code as area_code,
        computed_area_level as area_level,
        computed_period as period,
        computed_ref_period as ref_period,
        computed_value as value,
        numerator,
        denominator,
        unit,
        'computed' as method,
        publish_status,
        cast(reported_units as integer) as reported_units,
        cast(expected_units as integer) as expected_units,
        as_of,
        nullif(
            concat_ws(
                '；',
                computed_note,
                case when value is not null then concat('公布值：', cast(value as varchar), unit, '（', note, '）') end
            ),
            ''
        ) as note
    from weighed
    where is_computed
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
        concat_ws(
            '；',
            note,
            case
                when computed_value is not null
                    then concat(
                        '按报送数据计算为', {{ rounded_text('computed_value', 'decimals') }}, unit, '（', computed_note, '），未采用'
                    )
            end
        ) as note
    from weighed
    where
        not is_computed
        and not is_left_out
),

-- Every break an area's line has passed by then; an empty indicator or area in the seed stands for all of them.
passed as (
    select
        standing.indicator_id,
        standing.area_code,
        standing.period,
        max(breaks.first_year) as last_break_year,
        {{ join_texts('breaks.break_id', '|', 'breaks.break_id', 'true') }} as series_segment,
        {{ join_texts('breaks.title_zh', '、', 'breaks.break_id', 'true') }} as breaks_zh
    from standing
    inner join {{ ref('series_break') }} as breaks
        on
            (
                standing.indicator_id = breaks.indicator_id
                or (breaks.indicator_id is null and breaks.area_code is not null)
            )
            and (breaks.area_code is null or standing.area_code = breaks.area_code)
            and (breaks.method is null or standing.method = breaks.method)
            and standing.period >= breaks.first_year
    group by standing.indicator_id, standing.area_code, standing.period
),

placed as (
    select
        standing.*,
        coalesce(passed.series_segment, '') as series_segment,
        coalesce(passed.last_break_year, 0) as last_break_year,
        coalesce(passed.breaks_zh, '') as breaks_zh,
        lag(standing.period) over by_series as previous_period,
        lag(coalesce(passed.series_segment, '')) over by_series as previous_segment,
        lag(coalesce(passed.breaks_zh, '')) over by_series as previous_breaks_zh
    from standing
    left join passed
        on
            standing.indicator_id = passed.indicator_id
            and standing.area_code = passed.area_code
            and standing.period = passed.period
    window by_series as (
        partition by standing.indicator_id, standing.area_code
        order by standing.period
    )
)

select
    placed.indicator_id,
    placed.area_code,
    placed.area_level,
    placed.period,
    placed.ref_period,
    placed.value,
    placed.numerator,
    placed.denominator,
    placed.unit,
    placed.method,
    placed.publish_status,
    placed.reported_units,
    placed.expected_units,
    placed.as_of,
    placed.note,
    {{ suppressed_cells() }} as suppressed,
    placed.series_segment,
    {{ series_break_text('placed') }} as series_break_zh
from placed
