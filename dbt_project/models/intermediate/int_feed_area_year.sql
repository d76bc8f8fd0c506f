with counted as (
    select
        feed,
        area_code,
        period,
        count(*) as deliveries_received,
        -- A single school's report lies over its district's and never stands for it.
        count(*) filter (where part not like 'school:%') as parts_received,
        count(*) filter (where part <> 'preliminary') = 0 as is_preliminary,
        sum(rows_quarantined) as rows_quarantined,
        max(reported_on) as reported_on
    from {{ ref('stg_delivery') }}
    where status in ('accepted', 'partly')
    group by feed, area_code, period
),

-- One file holds the accounts of every district: who is in it has reported.
accounts as (
    select
        accounts.area_code,
        accounts.fiscal_year as period,
        max(case when accounts.status = 'preliminary' then 1 else 0 end) = 1 as is_preliminary,
        max(deliveries.reported_on) as reported_on
    from {{ ref('stg_fiscal_account') }} as accounts
    left join {{ ref('stg_delivery') }} as deliveries
        on accounts.delivery_id = deliveries.delivery_id
    group by accounts.area_code, accounts.fiscal_year
)

select
    feeds.feed,
    areas.period,
    areas.area_code,
    areas.area_name_zh,
    coalesce(counted.deliveries_received, 0) > 0 as is_reported,
    coalesce(counted.parts_received, 0) >= feeds.parts_expected
    and not coalesce(feeds.feed = 'population' and people.ages_reported < 15, false) as is_complete,
    coalesce(counted.is_preliminary, false) as is_preliminary,
    coalesce(counted.rows_quarantined, 0) as rows_quarantined,
    counted.reported_on
from {{ ref('stg_feed') }} as feeds
cross join {{ ref('int_area_year') }} as areas
left join counted
    on
        feeds.feed = counted.feed
        and areas.reporting_code = counted.area_code
        and areas.period = counted.period
left join {{ ref('int_population_area_year') }} as people
    on
        areas.area_code = people.area_code
        and areas.period = people.period
where feeds.per_area
union all
select
    'fiscal_accounts' as feed,
    areas.period,
    areas.area_code,
    areas.area_name_zh,
    accounts.area_code is not null as is_reported,
    accounts.area_code is not null as is_complete,
    coalesce(accounts.is_preliminary, false) as is_preliminary,
    0 as rows_quarantined,
    accounts.reported_on
from {{ ref('int_area_year') }} as areas
left join accounts
    on
        areas.reporting_code = accounts.area_code
        and areas.period = accounts.period
