{#- One value an indicator, area and period. What records give in full stands before what was published; where records
    are incomplete and a published figure may stand in, it does. The one that does not stand is named in the note. -#}
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
)

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
    ) as note,
    {{ suppressed_cells() }} as suppressed
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
    ) as note,
    {{ suppressed_cells() }} as suppressed
from weighed
where
    not is_computed
    and not is_left_out
