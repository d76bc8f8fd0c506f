{{ config(meta={'dagster': {'ref': {'name': 'indicator'}}}) }}
-- An indicator whose feed nobody declares would vanish from the marts without a word.
with needed as (
    select
        indicators.indicator_id,
        length(indicators.feeds) - length(replace(indicators.feeds, '|', '')) + 1 as feeds_needed,
        count(feeds.feed) as feeds_known
    from {{ ref('indicator') }} as indicators
    left join {{ ref('stg_feed') }} as feeds
        on concat('|', indicators.feeds, '|') like concat('%|', feeds.feed, '|%')
    where indicators.method_expected = 'computed'
    group by indicators.indicator_id, indicators.feeds
)

select * from needed
where feeds_known <> feeds_needed
