with districts as (
    select
        reported.period,
        reported.area_code
    from {{ ref('int_feed_area_year') }} as reported
    inner join {{ ref('int_area_year') }} as areas
        on
            reported.period = areas.period
            and reported.area_code = areas.area_code
    where
        reported.feed = 'school_census'
        and reported.is_reported
        and areas.area_level = 'district'
),

compared as (
    select
        districts.period,
        districts.area_code,
        standards.item_no,
        standards.group_zh,
        standards.item_zh,
        standards.operator,
        standards.threshold,
        standards.unit_zh,
        standards.indicator_id,
        facts.value,
        facts.numerator,
        facts.denominator,
        case
            when standards.indicator_id is null then concat('缺：', standards.missing_record_zh)
            when facts.value is null then '无数据'
            when facts.publish_status <> 'final' then concat('覆盖不全；', facts.note)
        end as reason,
        facts.note,
        {{ target_met('facts.value', 'standards.operator', 'standards.threshold', "''") }} as is_met
    from districts
    cross join {{ ref('preschool_standard') }} as standards
    left join {{ ref('fct_indicator_value') }} as facts
        on
            standards.indicator_id = facts.indicator_id
            and districts.area_code = facts.area_code
            and districts.period = facts.period
),

judged as (
    select
        compared.*,
        case
            when compared.reason is not null then 'cannot_assess'
            when compared.is_met then 'met'
            else 'not_met'
        end as verdict
    from compared
),

totals as (
    select
        period,
        area_code,
        count(*) as items,
        count(*) filter (where verdict = 'met') as items_met,
        count(*) filter (where verdict = 'not_met') as items_not_met,
        count(*) filter (where verdict = 'cannot_assess') as items_unassessed
    from judged
    group by period, area_code
),

stacked as (
    select
        area_code,
        period,
        item_no,
        group_zh,
        item_zh,
        operator,
        threshold,
        unit_zh,
        indicator_id,
        value,
        numerator,
        denominator,
        cast(null as integer) as items_met,
        cast(null as integer) as items_not_met,
        cast(null as integer) as items_unassessed,
        verdict,
        coalesce(reason, note) as note
    from judged
    union all
    select
        area_code,
        period,
        0 as item_no,
        '综合' as group_zh,
        '区县综合（各项均达标）' as item_zh,
        null as operator,
        null as threshold,
        '' as unit_zh,
        null as indicator_id,
        null as value,
        null as numerator,
        null as denominator,
        items_met,
        items_not_met,
        items_unassessed,
        {{ verdict_of_all('items', 'items_met', 'items_not_met') }} as verdict,
        case
            when items_unassessed > 0 then {{ count_text('有', 'items_unassessed', '项缺数据，未评') }}
        end as note
    from totals
)

select
    area_code,
    cast(period as integer) as period,
    item_no,
    group_zh,
    item_zh,
    operator,
    cast(threshold as double) as threshold,
    unit_zh,
    indicator_id,
    value,
    numerator,
    denominator,
    cast(items_met as integer) as items_met,
    cast(items_not_met as integer) as items_not_met,
    cast(items_unassessed as integer) as items_unassessed,
    verdict,
    {{ verdict_zh('verdict') }} as verdict_zh,
    note,
    {{ suppressed_cells() }} as suppressed
from stacked
