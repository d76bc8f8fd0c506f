{{ config(meta={'dagster': {'ref': {'name': 'fct_indicator_value'}}}) }}
-- Numerator and denominator of every computed indicator: the city is the sum of districts and municipal schools.
-- Not asked of what only the city as a whole has, nor where an official figure stands for a city whose records are
-- incomplete.
with of_the_city as (
    select distinct indicator_id as known_id from {{ ref('int_city_part') }}
),

cities as (
    select computed.*
    from {{ ref('fct_indicator_value') }} as computed
    left join of_the_city
        on computed.indicator_id = of_the_city.known_id
    where
        computed.area_level = 'city'
        and computed.method = 'computed'
        and of_the_city.known_id is null
),

official_cities as (
    select
        indicator_id,
        period
    from {{ ref('fct_indicator_value') }}
    where
        area_level = 'city'
        and method = 'official'
),

leaves as (
    select
        parts.indicator_id,
        parts.period,
        sum(parts.numerator) as numerator,
        sum(parts.denominator) as denominator
    from {{ ref('fct_indicator_value') }} as parts
    left join official_cities
        on
            parts.indicator_id = official_cities.indicator_id
            and parts.period = official_cities.period
    where
        parts.area_level in ('district', 'municipal')
        and parts.method = 'computed'
        and official_cities.indicator_id is null
    group by parts.indicator_id, parts.period
)

select
    coalesce(cities.indicator_id, leaves.indicator_id) as indicator_id,
    coalesce(cities.period, leaves.period) as period,
    cities.numerator,
    cities.denominator,
    leaves.numerator as leaf_numerator,
    leaves.denominator as leaf_denominator
from cities
full outer join leaves
    on
        cities.indicator_id = leaves.indicator_id
        and cities.period = leaves.period
where
    (cities.numerator is null) <> (leaves.numerator is null)
    or abs(cities.numerator - leaves.numerator) > 0.01
    or (cities.denominator is null) <> (leaves.denominator is null)
    -- Every published figure is rounded to four decimals once; counts have none, so any wrong one shows.
    or abs(cities.denominator - leaves.denominator) > 0.01
