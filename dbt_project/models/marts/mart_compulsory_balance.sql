with school_items as (
    select
        items.*,
        case
            when items.amount is null then 'cannot_assess'
            when items.is_line_met then 'met'
            else 'not_met'
        end as verdict
    from {{ ref('int_balance_item') }} as items
),

school_totals as (
    select
        period,
        school_code,
        stage,
        count(*) as items,
        count(amount) as items_assessed,
        count(*) filter (where is_line_met) as items_met,
        count(*) filter (where is_floor_met) as items_at_floor,
        {{ join_texts('item_zh', '、', 'item_no', 'amount is null') }} as missing_zh
    from school_items
    group by period, school_code, stage
),

schools as (
    select
        schools.period,
        schools.area_code,
        schools.school_code,
        schools.stage,
        schools.pupils,
        schools.exclusion_zh,
        totals.items_assessed,
        totals.items_met,
        totals.missing_zh,
        case
            when schools.exclusion_zh is not null then 'excluded'
            else {{ school_balance_verdict(
                'totals.items', 'totals.items_assessed', 'totals.items_met', 'totals.items_at_floor'
            ) }}
        end as verdict
    from {{ ref('int_balance_school') }} as schools
    left join school_totals as totals
        on
            schools.period = totals.period
            and schools.school_code = totals.school_code
            and schools.stage = totals.stage
),

area_items as (
    select
        items.*,
        case
            when items.cv > items.cv_limit then 'not_met'
            when items.cv is null or items.schools_without_figure > 0 then 'cannot_assess'
            else 'met'
        end as verdict
    from {{ ref('int_balance_area_item') }} as items
),

area_item_totals as (
    select
        period,
        area_code,
        stage,
        count(*) as items,
        count(*) filter (where verdict <> 'cannot_assess') as items_assessed,
        count(*) filter (where verdict = 'met') as items_met,
        count(*) filter (where verdict = 'not_met') as items_not_met
    from area_items
    group by period, area_code, stage
),

area_schools as (
    select
        period,
        area_code,
        stage,
        count(*) filter (where verdict <> 'excluded') as school_count,
        count(*) filter (where verdict = 'met') as schools_met,
        count(*) filter (where verdict = 'not_met') as schools_not_met,
        count(*) filter (where verdict = 'excluded') as schools_excluded,
        sum(pupils) filter (where verdict <> 'excluded') as pupils
    from schools
    group by period, area_code, stage
),

areas as (
    select
        counted.*,
        members.area_level,
        coalesce(items.items_assessed, 0) as items_assessed,
        coalesce(items.items_met, 0) as items_met,
        case
            when members.area_level = 'municipal' then 'cannot_assess'
            else {{ verdict_of_all(
                'counted.school_count + coalesce(items.items, 0)',
                'counted.schools_met + coalesce(items.items_met, 0)',
                'counted.schools_not_met + coalesce(items.items_not_met, 0)',
            ) }}
        end as verdict
    from area_schools as counted
    inner join {{ ref('int_area_year') }} as members
        on
            counted.period = members.period
            and counted.area_code = members.area_code
    left join area_item_totals as items
        on
            counted.period = items.period
            and counted.area_code = items.area_code
            and counted.stage = items.stage
),

stacked as (
    select
        'school_item' as row_kind,
        period,
        area_code,
        stage,
        school_code,
        item_no,
        item_zh,
        unit_zh,
        pupils,
        amount,
        value,
        line,
        is_line_met,
        is_floor_met,
        cast(null as integer) as items_assessed,
        cast(null as integer) as items_met,
        cast(null as integer) as school_count,
        cast(null as integer) as schools_met,
        cast(null as integer) as schools_excluded,
        cast(null as double) as cv,
        cast(null as double) as cv_limit,
        verdict,
        case when amount is null then concat('缺', record_zh) end as note
    from school_items
    union all
    select
        'school' as row_kind,
        period,
        area_code,
        stage,
        school_code,
        0 as item_no,
        '学校综合（七项中六项达标，其余一项不低于标准的85%）' as item_zh,
        '' as unit_zh,
        pupils,
        null as amount,
        null as value,
        null as line,
        null as is_line_met,
        null as is_floor_met,
        items_assessed,
        items_met,
        null as school_count,
        null as schools_met,
        null as schools_excluded,
        null as cv,
        null as cv_limit,
        verdict,
        coalesce(exclusion_zh, '缺：' || missing_zh) as note
    from schools
    union all
    select
        'area_item' as row_kind,
        period,
        area_code,
        stage,
        '' as school_code,
        item_no,
        item_zh,
        unit_zh,
        pupils,
        amount,
        value,
        line,
        null as is_line_met,
        null as is_floor_met,
        null as items_assessed,
        null as items_met,
        school_count,
        schools_met,
        null as schools_excluded,
        cv,
        cv_limit,
        verdict,
        nullif(
            concat_ws(
                '；',
                case
                    when schools_without_figure > 0
                        then {{ count_text('有', 'schools_without_figure', '所学校缺数，未计入') }}
                end,
                case when amount = 0 then '均值为零，差异系数无意义' end,
                case when school_count = 1 then '只有一所学校' end
            ),
            ''
        ) as note
    from area_items
    union all
    select
        'area' as row_kind,
        period,
        area_code,
        stage,
        '' as school_code,
        0 as item_no,
        '区县综合（各校达标，七项差异系数均不超过限值）' as item_zh,
        '' as unit_zh,
        pupils,
        null as amount,
        null as value,
        null as line,
        null as is_line_met,
        null as is_floor_met,
        items_assessed,
        items_met,
        school_count,
        schools_met,
        schools_excluded,
        null as cv,
        null as cv_limit,
        verdict,
        case
            when area_level = 'municipal' then '市直属学校应并入所在区县评估，报送件没有所在区县'
        end as note
    from areas
)

select
    stacked.area_code,
    members.area_level,
    cast(stacked.period as integer) as period,
    stacked.stage,
    stacked.school_code,
    stacked.item_no,
    stacked.row_kind,
    stacked.item_zh,
    stacked.unit_zh,
    cast(stacked.pupils as bigint) as pupils,
    cast(stacked.amount as decimal(28, 10)) as amount,
    stacked.value,
    cast(stacked.line as double) as line,
    stacked.is_line_met,
    stacked.is_floor_met,
    cast(stacked.items_assessed as integer) as items_assessed,
    cast(stacked.items_met as integer) as items_met,
    cast(stacked.school_count as integer) as school_count,
    cast(stacked.schools_met as integer) as schools_met,
    cast(stacked.schools_excluded as integer) as schools_excluded,
    stacked.cv,
    cast(stacked.cv_limit as double) as cv_limit,
    stacked.verdict,
    {{ verdict_zh('stacked.verdict') }} as verdict_zh,
    nullif(
        concat_ws(
            '；',
            stacked.note,
            case
                when stacked.row_kind in ('area', 'area_item') and coverage.rows_quarantined > 0
                    then {{ count_text('有', 'coverage.rows_quarantined', '行被隔离，未计入') }}
            end
        ),
        ''
    ) as note,
    {{ suppressed_cells() }} as suppressed
from stacked
inner join {{ ref('int_area_year') }} as members
    on
        stacked.period = members.period
        and stacked.area_code = members.area_code
left join {{ ref('int_feed_area_year') }} as coverage
    on
        stacked.period = coverage.period
        and stacked.area_code = coverage.area_code
        and coverage.feed = 'school_census'
