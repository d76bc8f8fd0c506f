select
    statements.target_id,
    statements.missing_record_zh,
    nullif(coalesce(statements.data_source, ''), '') is not null as has_source,
    {{ join_texts('labels.title_zh', '、', 'labels.feed', 'feeds.feed is null') }} as absent_feeds_zh
from {{ ref('stg_plan_statement') }} as statements
left join {{ ref('feed_label') }} as labels
    on concat('|', statements.data_source, '|') like concat('%|', labels.feed, '|%')
left join {{ ref('stg_feed') }} as feeds
    on labels.feed = feeds.feed
group by statements.target_id, statements.missing_record_zh, statements.data_source
