select
    parts.indicator_id,
    parts.period,
    members.area_code,
    deliveries.feed,
    deliveries.delivery_id
from {{ ref('int_indicator_part') }} as parts
inner join {{ ref('indicator') }} as indicators
    on parts.indicator_id = indicators.indicator_id
inner join {{ ref('int_area_year') }} as areas
    on
        parts.period = areas.period
        and parts.area_code = areas.area_code
inner join {{ ref('int_area_member') }} as members
    on
        parts.period = members.period
        and parts.area_code = members.part_area_code
inner join {{ ref('stg_delivery') }} as deliveries
    on
        parts.period = deliveries.period
        and areas.reporting_code = deliveries.area_code
        and concat('|', indicators.feeds, '|') like concat('%|', deliveries.feed, '|%')
where deliveries.status <> 'refused'
union all
select
    published.indicator_id,
    published.period,
    published.area_code,
    deliveries.feed,
    published.delivery_id
from {{ ref('int_indicator_official') }} as published
inner join {{ ref('stg_delivery') }} as deliveries
    on published.delivery_id = deliveries.delivery_id
