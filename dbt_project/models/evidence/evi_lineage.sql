{%- set formulas = ['int_indicator_part', 'int_gross_rate_part', 'int_condition_part'] -%}
{%- set posts = vocational_post_rules() -%}
with parts as (
    {%- for formula in formulas %}
    select
        indicator_id,
        period,
        area_code
    from {{ ref(formula) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

fed as (
    select
        indicators.indicator_id,
        labels.feed
    from {{ ref('indicator') }} as indicators
    inner join {{ ref('feed_label') }} as labels
        on '|' || indicators.feeds || '|' like '%|' || labels.feed || '|%'
),

-- Rows that are persons have no cell of their own. Which of a person's posts counts need not be found out here: a
-- register with such a post stands behind the value whether or not it is the main one.
posts as (
    select
        {%- for _, _, condition in posts %}
        bool_or({{ condition }}) as counts_{{ loop.index }},
        {%- endfor %}
        stat_year as period,
        delivery_id
    from {{ ref('stg_teacher') }}
    where
        post_category = 'full_time_teacher'
        and stage = 'senior_vocational'
    group by stat_year, delivery_id
),

-- One file speaks for many areas here, or for another year: the rows themselves say which deliveries count.
spoken as (
    select
        indicator_id,
        period,
        area_code,
        delivery_id
    from {{ ref('evi_fiscal') }}
    union
    select
        indicator_id,
        period,
        area_code,
        delivery_id
    from {{ ref('evi_city') }}
    where source_cell <> ''
    {%- for indicator, _, _ in posts %}
    union
    select
        parts.indicator_id,
        posts.period,
        parts.area_code,
        posts.delivery_id
    from posts
    inner join {{ ref('int_city_part') }} as parts
        on
            posts.period = parts.period
            and parts.indicator_id = '{{ indicator }}'
    where posts.counts_{{ loop.index }}
    {%- endfor %}
),

-- The city's own rows count for the city; those of a district for every area it is part of.
members as (
    select
        period,
        area_code,
        part_area_code
    from {{ ref('int_area_member') }}
    union
    select
        period,
        area_code,
        area_code as part_area_code
    from {{ ref('int_city_part') }}
)

select
    parts.indicator_id,
    parts.period,
    members.area_code,
    deliveries.feed,
    deliveries.delivery_id
from parts
inner join fed
    on parts.indicator_id = fed.indicator_id
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
        and fed.feed = deliveries.feed
where deliveries.status in ('accepted', 'partly')
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
union all
select
    spoken.indicator_id,
    spoken.period,
    members.area_code,
    deliveries.feed,
    spoken.delivery_id
from spoken
inner join members
    on
        spoken.period = members.period
        and spoken.area_code = members.part_area_code
inner join {{ ref('stg_delivery') }} as deliveries
    on spoken.delivery_id = deliveries.delivery_id
