{#- What the register answers a statement with at the end of each year, by the statement's own count rule. -#}
with rules as (
    select
        rules.target_id,
        rules.count_kind,
        rules.since_year,
        rules.denominator,
        rules.object_kind,
        rules.level,
        rules.reading_zh,
        plans.city_area_code as area_code,
        plans.baseline_year,
        years.period,
        years.last_decided_on
    from {{ ref('register_rule') }} as rules
    inner join {{ ref('stg_plan_statement') }} as statements
        on rules.target_id = statements.target_id
    inner join {{ ref('plan') }} as plans
        on statements.plan_id = plans.plan_id
    inner join {{ ref('int_register_year') }} as years
        on years.period between plans.baseline_year and plans.final_year
),

scoped_members as (
    select
        rules.target_id,
        rules.period,
        members.object_code
    from rules
    inner join {{ ref('int_register_member') }} as members
        on
            rules.denominator = members.denominator
            and rules.period = members.period
    inner join {{ ref('stg_area') }} as areas
        on members.area_code = areas.area_code
    where rules.area_code in (areas.area_code, areas.parent_code)
),

standing as (
    select
        rules.target_id,
        rules.period,
        spells.quantity,
        spells.object_code,
        members.object_code is not null as is_member,
        extract(year from spells.granted_on) >= rules.since_year as is_since,
        (
            (rules.object_kind is null or spells.object_kind = rules.object_kind)
            and (rules.level is null or spells.level = rules.level)
        ) as is_fitting
    from rules
    inner join {{ ref('int_register_spell') }} as spells
        on
            rules.target_id = spells.target_id
            and {{ stands_on('spells', year_end('rules.period')) }}
    inner join {{ ref('stg_area') }} as areas
        on spells.area_code = areas.area_code
    left join scoped_members as members
        on
            rules.target_id = members.target_id
            and rules.period = members.period
            and spells.object_code = members.object_code
    where rules.area_code in (areas.area_code, areas.parent_code)
),

counted as (
    select
        target_id,
        period,
        sum(quantity) filter (where is_fitting) as stock_count,
        sum(quantity) filter (where is_fitting and is_since) as new_count,
        count(distinct object_code) filter (where is_fitting and is_member) as member_count,
        count(*) filter (where is_fitting and not is_member) as outside_count,
        count(*) filter (where not is_fitting) as unfitting_count
    from standing
    group by target_id, period
),

members as (
    select
        target_id,
        period,
        count(distinct object_code) as denominator_count
    from scoped_members
    group by target_id, period
),

gaps as (
    select
        rules.target_id,
        rules.period,
        count(*) filter (where years.event_count = 0) as empty_years,
        {{ join_texts(
            'cast(years.period as varchar)', '、', 'years.period', 'years.event_count = 0 and years.period > rules.baseline_year'
        ) }} as empty_years_zh,
        count(*) filter (where years.event_count > 0 and years.period <= rules.baseline_year) > 0 as has_catalogue
    from rules
    inner join {{ ref('int_register_year') }} as years
        on rules.period >= years.period
    group by rules.target_id, rules.period
),

quarantine as (
    select sum(rows_quarantined) as rows_quarantined
    from {{ ref('stg_delivery') }}
    where
        feed = 'programme_register'
        and status in ('accepted', 'partly')
),

joined as (
    select
        rules.target_id,
        rules.area_code,
        rules.period,
        rules.count_kind,
        rules.since_year,
        rules.denominator,
        rules.baseline_year,
        rules.reading_zh,
        rules.last_decided_on,
        coalesce(counted.stock_count, 0) as stock_count,
        case rules.count_kind
            when 'new' then coalesce(counted.new_count, 0)
            when 'share' then coalesce(counted.member_count, 0)
            else coalesce(counted.stock_count, 0)
        end as numerator,
        members.denominator_count,
        coalesce(counted.outside_count, 0) as outside_count,
        coalesce(counted.unfitting_count, 0) as unfitting_count,
        gaps.empty_years_zh,
        -- What began before the plan is known only where the catalogue of old decisions is in.
        not gaps.has_catalogue and (rules.count_kind <> 'new' or rules.since_year <= rules.baseline_year)
            as lacks_catalogue,
        coalesce(quarantine.rows_quarantined, 0) as rows_quarantined
    from rules
    inner join gaps
        on
            rules.target_id = gaps.target_id
            and rules.period = gaps.period
    cross join quarantine
    left join counted
        on
            rules.target_id = counted.target_id
            and rules.period = counted.period
    left join members
        on
            rules.target_id = members.target_id
            and rules.period = members.period
)

select
    joined.target_id,
    joined.area_code,
    joined.period,
    joined.count_kind,
    case
        when joined.count_kind = 'share'
            then {{ ratio_percent('joined.numerator', 'joined.denominator_count') }}
        else cast(joined.numerator as double)
    end as value,
    cast(joined.numerator as decimal(24, 4)) as numerator,
    cast(joined.denominator_count as decimal(24, 4)) as denominator,
    case
        when
            joined.lacks_catalogue
            or joined.empty_years_zh is not null
            or (joined.outside_count > 0 and joined.denominator <> 'districts')
            then 'partial'
        else 'final'
    end as publish_status,
    joined.last_decided_on as as_of,
    concat_ws(
        '；',
        joined.reading_zh,
        case
            when joined.count_kind = 'share'
                then concat(
                    '分母为',
                    cast(joined.period as varchar),
                    '年',
                    cast(coalesce(joined.denominator_count, 0) as varchar),
                    {{ denominator_zh('joined.denominator') }}
                )
        end,
        case
            when joined.count_kind = 'new' and joined.stock_count <> joined.numerator
                then {{ count_text('年末存量', 'joined.stock_count', '') }}
        end,
        case when joined.lacks_catalogue then '缺基年及以前的认定补录' end,
        '认定登记缺' || joined.empty_years_zh || '年的记录',
        case
            when joined.outside_count > 0 and joined.denominator = 'districts'
                then {{ count_text('有', 'joined.outside_count', '个已撤并区县的认定不计入') }}
            when joined.outside_count > 0 and joined.denominator is not null
                then {{ count_text('有', 'joined.outside_count', '个认定对象的代码不在当年名录内，未计入') }}
        end,
        case
            when joined.unfitting_count > 0
                then {{ count_text('有', 'joined.unfitting_count', '项级别或对象类型不符，未计入') }}
        end,
        case
            when joined.rows_quarantined > 0
                then {{ count_text('认定登记有', 'joined.rows_quarantined', '行被隔离，未计入') }}
        end
    ) as note
from joined
