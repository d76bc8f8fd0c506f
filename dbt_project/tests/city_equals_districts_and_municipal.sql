-- Numerator and denominator of every computed indicator: the city is the sum of districts and municipal schools.
-- Not asked of what only the city as a whole has.
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

leaves as (
    select
        indicator_id,
        period,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from {{ ref('fct_indicator_value') }}
    where
        area_level in ('district', 'municipal')
        and method = 'computed'
    group by indicator_id, period
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
