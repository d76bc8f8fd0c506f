with feed_sets as (
    select distinct
        indicators.feeds,
        coalesce(scopes.subgroup_zh, '') as subgroup_zh
    from {{ ref('indicator') }} as indicators
    left join {{ ref('indicator_scope') }} as scopes
        on indicators.indicator_id = scopes.indicator_id
    where indicators.method_expected = 'computed'
),

leaves as (
    select
        feed_sets.feeds,
        feed_sets.subgroup_zh,
        feed_areas.period,
        feed_areas.area_code,
        feed_areas.area_name_zh,
        count(*) filter (where not feed_areas.is_reported) = 0 as is_reported,
        count(*) filter (where not feed_areas.is_complete) = 0 as is_complete,
        count(*) filter (where feed_areas.is_preliminary) > 0 as is_preliminary,
        sum(feed_areas.rows_quarantined) as rows_quarantined,
        max(feed_areas.reported_on) as reported_on
    from feed_sets
    inner join {{ ref('int_feed_area_year') }} as feed_areas
        on concat('|', feed_sets.feeds, '|') like concat('%|', feed_areas.feed, '|%')
    inner join {{ ref('stg_area') }} as areas
        on feed_areas.area_code = areas.area_code
    where
        feed_sets.subgroup_zh = ''
        or feed_sets.subgroup_zh = areas.subgroup_zh
    group by
        feed_sets.feeds, feed_sets.subgroup_zh, feed_areas.period, feed_areas.area_code, feed_areas.area_name_zh
),

members as (
    select
        leaves.feeds,
        leaves.subgroup_zh,
        areas.period,
        areas.area_code,
        areas.area_level,
        areas.part_area_code,
        leaves.area_name_zh,
        leaves.is_reported,
        leaves.is_complete,
        leaves.is_preliminary,
        leaves.rows_quarantined,
        leaves.reported_on,
        row_number() over (
            partition by
                leaves.feeds, leaves.subgroup_zh, areas.period, areas.area_code, leaves.is_reported, leaves.is_complete
            order by areas.part_area_code
        ) as place
    from {{ ref('int_area_member') }} as areas
    inner join leaves
        on
            areas.period = leaves.period
            and areas.part_area_code = leaves.area_code
)

select
    feeds,
    subgroup_zh,
    period,
    area_code,
    area_level,
    count(*) as expected_units,
    count(*) filter (where is_reported) as reported_units,
    count(*) filter (where is_reported and not is_complete) as incomplete_units,
    count(*) filter (where is_reported and is_preliminary) as preliminary_units,
    sum(rows_quarantined) filter (where is_reported) as rows_quarantined,
    max(reported_on) filter (where is_reported) as as_of,
    {{ join_texts('area_name_zh', '、', 'part_area_code', 'not is_reported and place <= 5') }} as missing_zh,
    {{ join_texts('area_name_zh', '、', 'part_area_code', 'is_reported and not is_complete and place <= 5') }}
        as incomplete_zh
from members
group by feeds, subgroup_zh, period, area_code, area_level
having count(*) filter (where is_reported) > 0
