{%- set formulas = ['int_indicator_part', 'int_gross_rate_part', 'int_condition_part'] -%}
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

named as (
    select * from {{ ref('evi_fiscal') }}
    union all
    select * from {{ ref('evi_city') }}
),

-- One file speaks for many areas here, or for another year: the rows themselves say which deliveries count.
spoken as (
    select distinct
        indicator_id,
        period,
        area_code,
        delivery_id
    from named
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
