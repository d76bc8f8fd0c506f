{#- Which stretch of its line each value lies on: a break begins a new stretch, and no change is read across it. -#}
select
    facts.indicator_id,
    facts.area_code,
    facts.period,
    count(breaks.break_id) as segment,
    {{ join_texts('breaks.title_zh', '、', 'breaks.break_id', 'breaks.first_year = facts.period') }} as break_zh
from {{ ref('fct_indicator_value') }} as facts
left join {{ ref('series_break') }} as breaks
    on
        (
            facts.indicator_id = breaks.indicator_id
            or (breaks.indicator_id is null and breaks.area_code is not null)
        )
        and (breaks.area_code is null or facts.area_code = breaks.area_code)
        and (breaks.method is null or facts.method = breaks.method)
        and facts.period >= breaks.first_year
group by facts.indicator_id, facts.area_code, facts.period
