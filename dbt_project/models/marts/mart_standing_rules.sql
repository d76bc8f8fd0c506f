with years as (
    {{ year_spine() }}
),

rules as (
    select
        statements.target_id,
        statements.plan_id,
        statements.section,
        statements.indicator_zh,
        statements.operator,
        plans.city_area_code,
        years.period as year,
        rules.is_strict,
        rules.left_zh,
        rules.right_zh,
        rules.caveat_zh,
        rules.measure is not null as has_formula,
        {{ unanswered_reason('sources', 'rules.caveat_zh') }} as unanswered_zh
    from {{ ref('stg_plan_statement') }} as statements
    inner join {{ ref('plan') }} as plans
        on statements.plan_id = plans.plan_id
    inner join years
        on years.period between plans.first_year and plans.final_year
    inner join {{ ref('int_statement_source') }} as sources
        on statements.target_id = sources.target_id
    left join {{ ref('standing_rule') }} as rules
        on statements.target_id = rules.target_id
    where
        statements.kind = 'standing_rule'
        or rules.target_id is not null
),

counted as (
    select
        target_id,
        year,
        count(*) filter (where status = 'holds') as cases_held,
        count(*) filter (where status = 'broken') as cases_broken,
        count(*) filter (where status = 'cannot_assess') as cases_unassessed
    from {{ ref('int_standing_rule_case') }}
    group by target_id, year
),

stacked as (
    select
        rules.target_id,
        rules.plan_id,
        rules.section,
        rules.indicator_zh,
        'case' as row_kind,
        cases.area_code,
        rules.year,
        cases.school_kind,
        rules.operator,
        rules.is_strict,
        rules.left_zh,
        cases.left_value,
        rules.right_zh,
        cases.right_value,
        cases.unit_zh,
        cases.status,
        cast(null as integer) as cases_held,
        cast(null as integer) as cases_broken,
        cast(null as integer) as cases_unassessed,
        nullif(concat_ws('；', cases.note, rules.caveat_zh), '') as note
    from {{ ref('int_standing_rule_case') }} as cases
    inner join rules
        on
            cases.target_id = rules.target_id
            and cases.year = rules.year
    union all
    select
        rules.target_id,
        rules.plan_id,
        rules.section,
        rules.indicator_zh,
        'summary' as row_kind,
        rules.city_area_code as area_code,
        rules.year,
        '' as school_kind,
        rules.operator,
        rules.is_strict,
        rules.left_zh,
        null as left_value,
        rules.right_zh,
        null as right_value,
        null as unit_zh,
        case
            when counted.cases_broken > 0 then 'broken'
            when counted.cases_held > 0 and counted.cases_unassessed = 0 then 'holds'
            else 'cannot_assess'
        end as status,
        coalesce(counted.cases_held, 0) as cases_held,
        coalesce(counted.cases_broken, 0) as cases_broken,
        coalesce(counted.cases_unassessed, 0) as cases_unassessed,
        case
            when not rules.has_formula then rules.unanswered_zh
            when counted.target_id is null then concat_ws('；', '无数据', rules.caveat_zh)
            when counted.cases_unassessed > 0
                then concat_ws(
                    '；',
                    {{ count_text('有', 'counted.cases_unassessed', '项无法比较') }},
                    rules.caveat_zh
                )
            else rules.caveat_zh
        end as note
    from rules
    left join counted
        on
            rules.target_id = counted.target_id
            and rules.year = counted.year
)

select
    target_id,
    plan_id,
    section,
    indicator_zh,
    row_kind,
    area_code,
    cast(year as integer) as year,
    school_kind,
    operator,
    is_strict,
    left_zh,
    left_value,
    right_zh,
    cast(right_value as decimal(24, 4)) as right_value,
    unit_zh,
    status,
    {{ rule_status_zh('status') }} as status_zh,
    cast(cases_held as integer) as cases_held,
    cast(cases_broken as integer) as cases_broken,
    cast(cases_unassessed as integer) as cases_unassessed,
    note,
    {{ suppressed_cells() }} as suppressed
from stacked
