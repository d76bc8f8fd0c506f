{#- 年度, 中期 and 总结: how many targets stand where, the binding ones by name and first, never averaged with the others. -#}
with years as (
    {{ year_spine() }}
),

evaluations as (
    select
        plans.plan_id,
        plans.city_area_code as area_code,
        'annual' as evaluation_kind,
        years.period as year,
        plans.final_year
    from {{ ref('plan') }} as plans
    inner join years
        on years.period between plans.first_year and plans.final_year
    union all
    select
        plan_id,
        city_area_code as area_code,
        'mid_term' as evaluation_kind,
        mid_term_year as year,
        final_year
    from {{ ref('plan') }}
    where mid_term_year is not null
    union all
    select
        plan_id,
        city_area_code as area_code,
        'final' as evaluation_kind,
        final_year as year,
        final_year
    from {{ ref('plan') }}
),

judged as (
    select
        evaluations.plan_id,
        evaluations.area_code,
        evaluations.evaluation_kind,
        evaluations.year,
        progress.target_id,
        targets.indicator_zh,
        coalesce(progress.binding, '未标属性') as group_zh,
        progress.year as value_year,
        progress.status,
        progress.status_zh,
        progress.value,
        progress.target,
        progress.note
    from evaluations
    inner join {{ ref('mart_plan_progress') }} as progress
        on
            evaluations.plan_id = progress.plan_id
            and evaluations.area_code = progress.area_code
            and (
                evaluations.year = progress.year
                -- A review in the middle of a plan takes the newest year that can be judged, and says which it is.
                or (evaluations.evaluation_kind = 'mid_term' and evaluations.year >= progress.year)
            )
    inner join {{ ref('dim_target') }} as targets
        on progress.target_id = targets.target_id
    where targets.duplicate_of is null or targets.duplicate_of = ''
    qualify row_number() over (
        partition by evaluations.plan_id, evaluations.evaluation_kind, evaluations.year, progress.target_id
        order by case when progress.status = 'cannot_assess' then 1 else 0 end, progress.year desc
    ) = 1
),

bound as (
    select
        evaluations.plan_id,
        evaluations.area_code,
        evaluations.evaluation_kind,
        evaluations.year,
        evaluations.year = evaluations.final_year as is_final,
        count(judged.target_id) as binding_count,
        count(*) filter (where judged.status in ('behind', 'worsening', 'lost')) as behind_count,
        count(*) filter (where judged.status = 'cannot_assess') as unassessed_count,
        count(*) filter (where judged.status = 'close') as close_count
    from evaluations
    left join judged
        on
            evaluations.plan_id = judged.plan_id
            and evaluations.evaluation_kind = judged.evaluation_kind
            and evaluations.year = judged.year
            and judged.group_zh = '约束性'
    group by
        evaluations.plan_id, evaluations.area_code, evaluations.evaluation_kind, evaluations.year,
        evaluations.final_year
),

overall as (
    select
        bound.plan_id,
        bound.area_code,
        bound.evaluation_kind,
        bound.year,
        bound.is_final,
        bound.binding_count,
        bound.unassessed_count,
        {{ binding_status('bound') }} as status
    from bound
),

stacked as (
    select
        overall.plan_id,
        overall.area_code,
        overall.evaluation_kind,
        overall.year,
        'overall' as row_kind,
        '总体' as group_zh,
        cast(null as varchar) as target_id,
        '约束性指标决定的总体结论' as indicator_zh,
        overall.status,
        case when overall.is_final then labels.final_status_zh else labels.status_zh end as status_zh,
        overall.binding_count as target_count,
        cast(null as double) as value,
        cast(null as double) as target,
        cast(null as integer) as value_year,
        {{ binding_note('overall') }} as note
    from overall
    left join {{ ref('status_label') }} as labels
        on overall.status = labels.status
    union all
    select
        plan_id,
        area_code,
        evaluation_kind,
        year,
        'target' as row_kind,
        group_zh,
        target_id,
        indicator_zh,
        status,
        status_zh,
        1 as target_count,
        value,
        target,
        value_year,
        note
    from judged
    where group_zh = '约束性'
    union all
    select
        plan_id,
        area_code,
        evaluation_kind,
        year,
        'count' as row_kind,
        group_zh,
        cast(null as varchar) as target_id,
        cast(null as varchar) as indicator_zh,
        status,
        status_zh,
        count(*) as target_count,
        cast(null as double) as value,
        cast(null as double) as target,
        cast(null as integer) as value_year,
        case
            when count(*) filter (where value_year < year) > 0
                then {{ count_text('其中', 'count(*) filter (where value_year < year)', '项用以前年度的数据') }}
        end as note
    from judged
    group by plan_id, area_code, evaluation_kind, year, group_zh, status, status_zh
    union all
    select
        evaluations.plan_id,
        evaluations.area_code,
        evaluations.evaluation_kind,
        evaluations.year,
        'count' as row_kind,
        '常设规则' as group_zh,
        cast(null as varchar) as target_id,
        cast(null as varchar) as indicator_zh,
        rules.status,
        rules.status_zh,
        count(*) as target_count,
        cast(null as double) as value,
        cast(null as double) as target,
        cast(null as integer) as value_year,
        cast(null as varchar) as note
    from evaluations
    inner join {{ ref('mart_standing_rules') }} as rules
        on
            evaluations.plan_id = rules.plan_id
            and evaluations.year = rules.year
            and rules.row_kind = 'summary'
    group by
        evaluations.plan_id, evaluations.area_code, evaluations.evaluation_kind, evaluations.year,
        rules.status, rules.status_zh
)

select
    plan_id,
    area_code,
    evaluation_kind,
    {{ evaluation_kind_zh('evaluation_kind') }} as evaluation_kind_zh,
    cast(year as integer) as year,
    cast(row_number() over (
        partition by plan_id, evaluation_kind, year
        order by
            case row_kind when 'overall' then 1 when 'target' then 2 else 3 end,
            case group_zh when '约束性' then 1 when '预期性' then 2 when '未标属性' then 3 else 4 end,
            {{ status_order('status') }},
            target_id,
            status_zh
    ) as integer) as row_no,
    row_kind,
    group_zh,
    target_id,
    indicator_zh,
    status,
    status_zh,
    cast(target_count as integer) as target_count,
    value,
    target,
    value_year,
    note,
    {{ suppressed_cells() }} as suppressed
from stacked
