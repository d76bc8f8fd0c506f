{#- How complete the materials are that only the city as a whole has. -#}
with levels as (
    select count(*) as known from {{ ref('code_attainment') }}
),

higher as (
    select
        period,
        concat('higher_education.', material) as material,
        count(*) as expected_units,
        count(*) filter (where is_reported) as reported_units,
        0 as incomplete_units,
        0 as preliminary_units,
        sum(rows_quarantined) as rows_quarantined,
        max(reported_on) as as_of,
        {{ join_texts('institution_code', '、', 'institution_code', 'not is_reported') }} as missing_zh
    from {{ ref('int_higher_report') }}
    group by period, material
),

attainment as (
    select
        people.stat_year as period,
        'population.attainment' as material,
        1 as expected_units,
        1 as reported_units,
        case when max(levels.known) > count(distinct people.attainment) then 1 else 0 end as incomplete_units,
        max(case when people.version = 'preliminary' then 1 else 0 end) as preliminary_units,
        0 as rows_quarantined,
        max(people.published_on) as as_of,
        cast(null as varchar) as missing_zh
    from {{ ref('stg_population_attainment') }} as people
    inner join {{ ref('stg_area') }} as areas
        on people.area_code = areas.area_code
    cross join levels
    where areas.area_level = 'city'
    group by people.stat_year
),

register as (
    select
        coverage.period,
        'teacher_register' as material,
        coverage.expected_units,
        coverage.reported_units,
        coverage.incomplete_units,
        coverage.preliminary_units,
        coverage.rows_quarantined,
        coverage.as_of,
        coverage.missing_zh
    from {{ ref('int_indicator_coverage') }} as coverage
    where
        coverage.feeds = 'teacher_register'
        and coverage.subgroup_zh = ''
        and coverage.area_level = 'city'
),

census as (
    select
        period,
        area_code
    from {{ ref('int_feed_area_year') }}
    where
        feed = 'school_census'
        and is_reported
),

cohort as (
    select
        areas.period,
        'school_census.cohort' as material,
        count(*) as expected_units,
        count(later.area_code) filter (where earlier.area_code is not null) as reported_units,
        0 as incomplete_units,
        0 as preliminary_units,
        0 as rows_quarantined,
        cast(null as date) as as_of,
        cast(null as varchar) as missing_zh
    from {{ ref('int_area_year') }} as areas
    left join census as later
        on
            areas.period = later.period
            and areas.area_code = later.area_code
    left join census as earlier
        on
            areas.period - {{ cohort_years() }} = earlier.period
            and areas.area_code = earlier.area_code
    group by areas.period
)

select * from higher
union all
select * from attainment
union all
select * from register
union all
select * from cohort
where reported_units > 0
