with parts as (
    select * from {{ ref('int_indicator_part') }}
    union all
    select * from {{ ref('int_gross_rate_part') }}
    union all
    select * from {{ ref('int_fiscal_part') }}
    union all
    select * from {{ ref('int_condition_part') }}
),

totals as (
    select
        parts.indicator_id,
        parts.period,
        members.area_code,
        members.area_level,
        sum(parts.numerator) as numerator,
        sum(parts.denominator) as denominator
    from parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    group by parts.indicator_id, parts.period, members.area_code, members.area_level
),

by_area as (
    select
        totals.indicator_id,
        totals.period,
        totals.area_code,
        totals.area_level,
        totals.numerator,
        totals.denominator,
        coverage.expected_units,
        coverage.reported_units,
        coverage.incomplete_units,
        coverage.preliminary_units,
        coverage.as_of,
        {{ coverage_note('coverage') }} as note
    from totals
    inner join {{ ref('indicator') }} as indicators
        on totals.indicator_id = indicators.indicator_id
    left join {{ ref('indicator_scope') }} as scopes
        on totals.indicator_id = scopes.indicator_id
    inner join {{ ref('int_indicator_coverage') }} as coverage
        on
            indicators.feeds = coverage.feeds
            and coalesce(scopes.subgroup_zh, '') = coverage.subgroup_zh
            and totals.period = coverage.period
            and totals.area_code = coverage.area_code
),

of_the_city as (
    select
        parts.indicator_id,
        parts.period,
        parts.area_code,
        'city' as area_level,
        parts.numerator,
        parts.denominator,
        parts.expected_units,
        parts.reported_units,
        parts.incomplete_units,
        parts.preliminary_units,
        parts.as_of,
        {{ city_coverage_note('parts') }} as note
    from {{ ref('int_city_part') }} as parts
),

measured as (
    select * from by_area
    union all
    select * from of_the_city
)

select
    measured.indicator_id,
    measured.period,
    measured.area_code,
    measured.area_level,
    case
        when
            indicators.feeds in ('education_finance', 'fiscal_accounts')
            then {{ fiscal_year_label('measured.period') }}
        when indicators.feeds = 'population' then {{ year_end_label('measured.period') }}
        else {{ school_year_label('measured.period') }}
    end as ref_period,
    {{ indicator_value('indicators.value_rule', 'measured.numerator', 'measured.denominator') }} as value,
    cast(measured.numerator as decimal(24, 4)) as numerator,
    cast(measured.denominator as decimal(24, 4)) as denominator,
    indicators.unit_zh as unit,
    case
        when
            {{ publish_status('measured.reported_units', 'measured.expected_units', 'measured.incomplete_units') }}
            = 'partial'
            then 'partial'
        when measured.preliminary_units > 0 then 'preliminary'
        else 'final'
    end as publish_status,
    measured.reported_units,
    measured.expected_units,
    measured.as_of,
    nullif(
        concat_ws(
            '；',
            measured.note,
            case when measured.preliminary_units > 0 then '含快报数，待正式数更新' end,
            case
                when indicators.value_rule in ('percent', 'ratio') and measured.denominator is null
                    then '该地区没有分母数据，不计算'
            end
        ),
        ''
    ) as note
from measured
inner join {{ ref('indicator') }} as indicators
    on measured.indicator_id = indicators.indicator_id
