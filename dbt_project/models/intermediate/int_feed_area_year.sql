with counted as (
    select
        feed,
        area_code,
        period,
        count(*) as parts_received,
        sum(rows_quarantined) as rows_quarantined,
        max(reported_on) as reported_on
    from {{ ref('stg_delivery') }}
    where status in ('accepted', 'partly')
    group by feed, area_code, period
)

select
    feeds.feed,
    areas.period,
    areas.area_code,
    areas.area_name_zh,
    coalesce(counted.parts_received, 0) > 0 as is_reported,
    coalesce(counted.parts_received, 0) >= feeds.parts_expected as is_complete,
    coalesce(counted.rows_quarantined, 0) as rows_quarantined,
    counted.reported_on
from {{ ref('stg_feed') }} as feeds
cross join {{ ref('int_area_year') }} as areas
left join counted
    on
        feeds.feed = counted.feed
        and areas.reporting_code = counted.area_code
        and areas.period = counted.period
where feeds.per_area
