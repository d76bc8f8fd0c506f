{{ config(meta={'dagster': {'ref': {'name': 'fct_indicator_value'}}}) }}
-- Numerator and denominator of every computed indicator: a group of districts is the sum of its districts.
with wholes as (
    select * from {{ ref('fct_indicator_value') }}
    where
        area_level = 'group'
        and method = 'computed'
),

leaves as (
    select
        facts.indicator_id,
        facts.period,
        wholes_known.area_code,
        sum(facts.numerator) as numerator,
        sum(facts.denominator) as denominator
    from {{ ref('fct_indicator_value') }} as facts
    inner join {{ ref('dim_area') }} as areas
        on facts.area_code = areas.area_code
    inner join {{ ref('dim_area') }} as wholes_known
        on
            areas.group_code = wholes_known.area_code
            and wholes_known.area_level = 'group'
            and wholes_known.valid_from <= {{ census_day('facts.period') }}
    where
        facts.area_level = 'district'
        and facts.method = 'computed'
    group by facts.indicator_id, facts.period, wholes_known.area_code
)

select
    coalesce(wholes.indicator_id, leaves.indicator_id) as indicator_id,
    coalesce(wholes.period, leaves.period) as period,
    coalesce(wholes.area_code, leaves.area_code) as area_code,
    wholes.numerator,
    leaves.numerator as leaf_numerator
from wholes
full outer join leaves
    on
        wholes.indicator_id = leaves.indicator_id
        and wholes.period = leaves.period
        and wholes.area_code = leaves.area_code
where
    (wholes.numerator is null) <> (leaves.numerator is null)
    or abs(wholes.numerator - leaves.numerator) > 0.01
    or (wholes.denominator is null) <> (leaves.denominator is null)
    -- Every published figure is rounded to four decimals once; counts have none, so any wrong one shows.
    or abs(wholes.denominator - leaves.denominator) > 0.01
