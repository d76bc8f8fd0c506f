with totals as (
    select
        parts.indicator_id,
        parts.period,
        members.area_code,
        members.area_level,
        sum(parts.numerator) as numerator,
        sum(parts.denominator) as denominator
    from {{ ref('int_indicator_part') }} as parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    group by parts.indicator_id, parts.period, members.area_code, members.area_level
)

select
    totals.indicator_id,
    totals.period,
    totals.area_code,
    totals.area_level,
    case
        when indicators.feeds = 'education_finance' then {{ fiscal_year_label('totals.period') }}
        else {{ school_year_label('totals.period') }}
    end as ref_period,
    {{ indicator_value('indicators.value_rule', 'totals.numerator', 'totals.denominator') }} as value,
    cast(totals.numerator as decimal(24, 4)) as numerator,
    cast(totals.denominator as decimal(24, 4)) as denominator,
    indicators.unit_zh as unit,
    {{ publish_status('coverage.reported_units', 'coverage.expected_units', 'coverage.incomplete_units') }}
        as publish_status,
    coverage.reported_units,
    coverage.expected_units,
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
