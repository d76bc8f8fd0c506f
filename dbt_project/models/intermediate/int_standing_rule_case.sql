{#- Each comparison of a rule that can be made: one a year, area and school kind. -#}
with rules as (
    select
        statements.target_id,
        statements.plan_id,
        statements.unit_zh,
        statements.value_low as limit_value,
        plans.city_area_code,
        plans.first_year,
        plans.final_year,
        rules.measure,
        rules.comparison,
        coalesce(rules.is_strict, false) as is_strict,
        rules.caveat_zh
    from {{ ref('standing_rule') }} as rules
    inner join {{ ref('stg_plan_statement') }} as statements
        on rules.target_id = statements.target_id
    inner join {{ ref('plan') }} as plans
        on statements.plan_id = plans.plan_id
    where rules.measure is not null
),

from_finance as (
    select
        rules.target_id,
        money.area_code,
        money.period as year,
        money.school_kind,
        money.unit as unit_zh,
        money.value as left_value,
        previous.value as right_value,
        case
            when money.value is null then '没有可比的学生数'
            when money.publish_status <> 'final' then concat('本年覆盖不全；', money.note)
            when previous.value is null then '缺上年数据'
            when previous.publish_status <> 'final' then concat('上年覆盖不全；', previous.note)
            when money.units_left_out > 0 then {{ count_text('本年有', 'money.units_left_out', '个单位缺数，与上年不可比') }}
            when previous.units_left_out > 0
                then {{ count_text('上年有', 'previous.units_left_out', '个单位缺数，与本年不可比') }}
        end as reason,
        {{ year_on_year_status('money.value', 'previous.value', 'rules.is_strict') }} as compared,
        case when money.value = previous.value then '与上年持平' end as remark
    from rules
    inner join {{ ref('mart_education_finance') }} as money
        on
            rules.measure = money.measure
            and money.period between rules.first_year and rules.final_year
            and money.area_level <> 'group'
    left join {{ ref('mart_education_finance') }} as previous
        on
            money.area_code = previous.area_code
            and money.period = previous.period + 1
            and money.school_kind = previous.school_kind
            and money.measure = previous.measure
    where
        rules.comparison = 'previous_year'
        and (
            (money.school_kind = 'all' and rules.measure not like '%per_student')
            or (money.school_kind not in ('all', 'other', 'unclassified') and rules.measure like '%per_student')
        )
),

from_indicators as (
    select
        rules.target_id,
        facts.area_code,
        facts.period as year,
        'all' as school_kind,
        rules.unit_zh,
        cast(facts.value as decimal(24, 4)) as left_value,
        cast(rules.limit_value as decimal(24, 4)) as right_value,
        case
            when facts.value is null then '没有数'
            when facts.publish_status <> 'final' then concat('覆盖不全；', facts.note)
            {%- if var('about_tolerance_percent') == 0 %}
            else '约数，未约定容差'
            {%- endif %}
        end as reason,
        {{ about_status('facts.value', 'rules.limit_value') }} as compared,
        cast(null as varchar) as remark
    from rules
    inner join {{ ref('fct_indicator_value') }} as facts
        on
            rules.measure = facts.indicator_id
            and rules.city_area_code = facts.area_code
            and facts.period between rules.first_year and rules.final_year
    where rules.comparison = 'about'
),

from_balance as (
    select
        rules.target_id,
        balance.area_code,
        balance.period as year,
        balance.stage as school_kind,
        '%' as unit_zh,
        cast({{ ratio_percent('balance.schools_met', 'balance.school_count') }} as decimal(24, 4)) as left_value,
        cast(100 as decimal(24, 4)) as right_value,
        case
            when balance.schools_met < balance.school_count then '未全部达标或缺数；未申报的区县不受本条约束'
            when balance.school_count = 0 then '没有计入的学校'
        end as reason,
        'holds' as compared,
        cast(null as varchar) as remark
    from rules
    inner join {{ ref('mart_compulsory_balance') }} as balance
        on
            balance.period between rules.first_year and rules.final_year
            and balance.row_kind = 'area'
            and balance.area_level = 'district'
    where rules.comparison = 'all_schools'
),

from_fiscal as (
    select
        rules.target_id,
        pairs.area_code,
        pairs.fiscal_year as year,
        'all' as school_kind,
        pairs.unit_zh,
        cast(pairs.left_value as decimal(24, 4)) as left_value,
        cast(pairs.right_value as decimal(24, 4)) as right_value,
        pairs.reason,
        {{ at_least_status('pairs.left_value', 'pairs.right_value', 'rules.is_strict') }} as compared,
        nullif(
            concat_ws('；', case when pairs.left_value = pairs.right_value then '两侧相等' end, pairs.remark), ''
        ) as remark
    from rules
    inner join {{ ref('int_fiscal_comparison') }} as pairs
        on
            rules.measure = pairs.measure
            and rules.comparison = pairs.comparison
            and pairs.fiscal_year between rules.first_year and rules.final_year
),

from_floors as (
    select
        rules.target_id,
        facts.area_code,
        facts.period as year,
        'all' as school_kind,
        rules.unit_zh,
        cast(facts.value as decimal(24, 4)) as left_value,
        cast(rules.limit_value as decimal(24, 4)) as right_value,
        case
            when facts.value is null then '没有数'
            when facts.publish_status <> 'final' then concat('覆盖不全；', facts.note)
        end as reason,
        {{ at_least_status('facts.value', 'rules.limit_value', 'rules.is_strict') }} as compared,
        cast(null as varchar) as remark
    from rules
    inner join {{ ref('fct_indicator_value') }} as facts
        on
            rules.measure = facts.indicator_id
            and facts.area_level in ('city', 'district')
            and facts.period between rules.first_year and rules.final_year
    where rules.comparison = 'floor'
),

granted as (
    select distinct
        target_id,
        object_code,
        1 as was_granted
    from {{ ref('int_register_spell') }}
),

from_register as (
    select
        rules.target_id,
        members.area_code,
        members.period as year,
        'all' as school_kind,
        '个' as unit_zh,
        cast(case when count(spells.event_id) > 0 then 1 else 0 end as decimal(24, 4)) as left_value,
        cast(1 as decimal(24, 4)) as right_value,
        case
            when max(counts.publish_status) <> 'final' then concat('认定登记不全；', max(counts.note))
            -- What is being rolled out is due at the end; what was granted before the plan is due every year.
            when
                count(spells.event_id) = 0
                and max(rules.measure) = max(rules.target_id)
                and members.period < max(rules.final_year)
                then '推行中，终期前未认定不作结论'
            when
                count(spells.event_id) = 0
                and max(granted.was_granted) is null
                and max(rules.measure) <> max(rules.target_id)
                then '登记中没有该区县的认定，无从说巩固'
        end as reason,
        case when count(spells.event_id) > 0 then 'holds' else 'broken' end as compared,
        cast(null as varchar) as remark
    from rules
    inner join {{ ref('int_register_member') }} as members
        on
            members.denominator = 'districts'
            and members.period between rules.first_year and rules.final_year
    inner join {{ ref('int_register_count') }} as counts
        on
            rules.measure = counts.target_id
            and members.period = counts.period
    left join {{ ref('int_register_spell') }} as spells
        on
            rules.measure = spells.target_id
            and members.object_code = spells.object_code
            and {{ stands_on('spells', year_end('members.period')) }}
    left join granted
        on
            rules.measure = granted.target_id
            and members.object_code = granted.object_code
    where rules.comparison = 'register_district'
    group by rules.target_id, members.area_code, members.period
),

cases as (
    select * from from_finance
    union all
    select * from from_fiscal
    union all
    select * from from_floors
    union all
    select * from from_register
    union all
    select * from from_indicators
    union all
    select * from from_balance
)

select
    cases.target_id,
    cases.area_code,
    cases.year,
    cases.school_kind,
    cases.unit_zh,
    cases.left_value,
    cases.right_value,
    case when cases.reason is not null then 'cannot_assess' else cases.compared end as status,
    nullif(concat_ws('；', cases.reason, case when cases.reason is null then cases.remark end), '') as note
from cases
