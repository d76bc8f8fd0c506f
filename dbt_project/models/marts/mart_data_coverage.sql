with known as (
    select
        stg_delivery.*,
        held.delivery_id as held_id
    from {{ ref('stg_delivery') }} as stg_delivery
    left join {{ ref('stg_held') }} as held
        on stg_delivery.delivery_id = held.replaced_by
    union all
    -- Set aside, and no predecessor stands in.
    select
        held.delivery_id,
        held.feed,
        held.area_code,
        held.period,
        held.part,
        cast(null as date) as reported_on,
        'held' as status,
        cast(null as bigint) as rows_in,
        cast(null as bigint) as rows_accepted,
        cast(null as bigint) as rows_quarantined,
        held.delivery_id as held_id
    from {{ ref('stg_held') }} as held
    where held.replaced_by is null
),

deliveries as (
    select
        known.*,
        -- What the city hands in as a whole comes in any number of parts (an institution, a batch of events).
        case when not feeds.per_area then '' else known.part end as part_due
    from known
    left join {{ ref('stg_feed') }} as feeds
        on known.feed = feeds.feed
),

latest_of_kind as (
    select
        feeds.period_kind,
        max(deliveries.period) as period
    from deliveries
    inner join {{ ref('stg_feed') }} as feeds
        on deliveries.feed = feeds.feed
    where deliveries.status in ('accepted', 'partly')
    group by feeds.period_kind
),

latest_of_all as (
    select max(period) as period from deliveries
    where status in ('accepted', 'partly')
),

due as (
    select
        parts.feed,
        areas.area_code,
        areas.reporting_code,
        areas.period,
        parts.part
    from {{ ref('stg_feed_part') }} as parts
    cross join latest_of_all
    left join latest_of_kind
        on parts.period_kind = latest_of_kind.period_kind
    inner join {{ ref('int_area_year') }} as areas
        on areas.period between parts.first_year and coalesce(latest_of_kind.period, latest_of_all.period)
    where parts.per_area
    union all
    select distinct
        parts.feed,
        cities.area_code,
        cities.area_code as reporting_code,
        coalesce(years.period, 0) as period,
        '' as part
    from {{ ref('stg_feed_part') }} as parts
    cross join {{ ref('stg_area') }} as cities
    left join latest_of_kind
        on parts.period_kind = latest_of_kind.period_kind
    left join {{ ref('int_area_year') }} as years
        on
            parts.period_kind <> 'any'
            and years.period between parts.first_year and latest_of_kind.period
    where
        not parts.per_area
        and cities.area_level = 'city'
        and (parts.period_kind = 'any' or years.period is not null)
),

matched as (
    select
        coalesce(due.feed, deliveries.feed) as feed,
        coalesce(due.area_code, deliveries.area_code) as area_code,
        coalesce(due.period, deliveries.period) as period,
        coalesce(deliveries.part, due.part) as part,
        due.feed is not null as expected,
        -- A single school's report is not due, and counts all the same.
        due.feed is not null or deliveries.part like 'school:%' as is_accounted_for,
        {{ coverage_status('deliveries.status') }} as status,
        coalesce(deliveries.status = 'withdrawn', false) as is_withdrawn,
        case when deliveries.status <> 'withdrawn' then deliveries.delivery_id end as delivery_id,
        deliveries.held_id,
        case when deliveries.status <> 'withdrawn' then deliveries.rows_in end as rows_in,
        case when deliveries.status <> 'withdrawn' then deliveries.rows_accepted end as rows_accepted,
        case when deliveries.status <> 'withdrawn' then deliveries.rows_quarantined end as rows_quarantined,
        case when deliveries.status <> 'withdrawn' then deliveries.reported_on end as reported_on
    from due
    full outer join deliveries
        on
            due.feed = deliveries.feed
            and due.reporting_code = deliveries.area_code
            and due.period = deliveries.period
            and due.part = deliveries.part_due
)

select
    feed,
    area_code,
    cast(period as integer) as period,
    part,
    expected,
    status,
    delivery_id,
    rows_in,
    rows_accepted,
    rows_quarantined,
    reported_on,
    {{ coverage_remark('is_accounted_for', 'status', 'rows_quarantined', 'is_withdrawn', 'held_id') }} as note
from matched
