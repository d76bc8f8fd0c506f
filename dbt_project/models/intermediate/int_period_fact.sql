{#- What the plan says of several years together: a sum, a growth a year, or how much faster one side grew. -#}
with years as (
    {{ year_spine() }}
),

wanted as (
    select
        facts.target_id,
        facts.indicator_id,
        facts.measure,
        facts.first_year,
        facts.last_year,
        facts.reading_zh,
        plans.city_area_code as area_code,
        plans.baseline_year as period,
        years.period as year
    from {{ ref('period_fact') }} as facts
    inner join {{ ref('stg_plan_statement') }} as statements
        on facts.target_id = statements.target_id
    inner join {{ ref('plan') }} as plans
        on statements.plan_id = plans.plan_id
    inner join years
        on
            years.period in (facts.first_year, facts.last_year)
            or (facts.measure = 'sum' and years.period between facts.first_year and facts.last_year)
),

totals as (
    select
        wanted.target_id,
        wanted.indicator_id,
        wanted.measure,
        wanted.first_year,
        wanted.last_year,
        wanted.reading_zh,
        wanted.area_code,
        wanted.period,
        sum(cast(found.value as decimal(24, 6))) as total,
        max(case when wanted.year = wanted.first_year then cast(found.numerator as double) end) as first_numerator,
        max(case when wanted.year = wanted.last_year then cast(found.numerator as double) end) as last_numerator,
        max(case when wanted.year = wanted.first_year then cast(found.denominator as double) end) as first_denominator,
        max(case when wanted.year = wanted.last_year then cast(found.denominator as double) end) as last_denominator,
        {{ join_texts('cast(wanted.year as varchar)', '、', 'wanted.year', 'found.value is null') }} as missing_years_zh
    from wanted
    left join {{ ref('fct_indicator_value') }} as found
        on
            wanted.indicator_id = found.indicator_id
            and wanted.area_code = found.area_code
            and wanted.year = found.period
            and found.publish_status <> 'partial'
    group by
        wanted.target_id, wanted.indicator_id, wanted.measure, wanted.first_year, wanted.last_year, wanted.reading_zh,
        wanted.area_code, wanted.period
)

select
    target_id,
    indicator_id,
    area_code,
    period,
    case
        when missing_years_zh is not null then cast(null as double)
        when measure = 'sum' then cast(total as double)
        when measure = 'growth'
            then 100 * {{ compound_growth('first_numerator', 'last_numerator', '(last_year - first_year)') }}
        when measure = 'growth_gap'
            then 100 * (
                {{ compound_growth('first_numerator', 'last_numerator', '(last_year - first_year)') }}
                - {{ compound_growth('first_denominator', 'last_denominator', '(last_year - first_year)') }}
            )
    end as value,
    concat_ws('；', reading_zh, '缺' || missing_years_zh || '年的完整数据') as note
from totals
