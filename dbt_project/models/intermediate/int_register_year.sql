{#- Which years the register reaches, and which years before them have no decision at all: those were not handed in. -#}
with years as (
    {{ year_spine() }}
),

decided as (
    select
        extract(year from decided_on) as period,
        count(*) as event_count,
        max(decided_on) as last_decided_on
    from {{ ref('stg_programme_event') }}
    group by extract(year from decided_on)
),

reach as (
    select
        min(period) as first_period,
        max(period) as last_period
    from decided
)

select
    cast(years.period as integer) as period,
    coalesce(decided.event_count, 0) as event_count,
    decided.last_decided_on,
    reach.first_period < years.period as has_earlier_years
from years
inner join reach
    on years.period between reach.first_period and reach.last_period
left join decided
    on years.period = decided.period
