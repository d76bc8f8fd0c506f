with totals as (
    select
        members.area_code,
        members.area_level,
        parts.period,
        parts.stage,
        sum(parts.school_count) as school_count,
        sum(parts.enrolment) as enrolment,
        sum(parts.entrants) as entrants,
        sum(parts.graduates) as graduates,
        sum(parts.female) as female,
        sum(parts.class_count) as class_count,
        sum(parts.fulltime_teachers) as fulltime_teachers
    from {{ ref('int_stage_area_year') }} as parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    group by members.area_code, members.area_level, parts.period, parts.stage
),

feed_coverage as (
    select
        members.area_code,
        members.period,
        count(*) filter (where census.is_reported <> register.is_reported) = 0 as is_same_coverage
    from {{ ref('int_area_member') }} as members
    inner join {{ ref('int_feed_area_year') }} as census
        on
            members.period = census.period
            and members.part_area_code = census.area_code
            and census.feed = 'school_census'
    inner join {{ ref('int_feed_area_year') }} as register
        on
            members.period = register.period
            and members.part_area_code = register.area_code
            and register.feed = 'teacher_register'
    group by members.area_code, members.period
)

select
    totals.area_code,
    totals.area_level,
    totals.period,
    totals.stage,
    cast(totals.school_count as integer) as school_count,
    cast(totals.enrolment as bigint) as enrolment,
    cast(totals.entrants as bigint) as entrants,
    cast(totals.graduates as bigint) as graduates,
    cast(totals.female as bigint) as female,
    cast(totals.class_count as bigint) as class_count,
    cast(totals.fulltime_teachers as bigint) as fulltime_teachers,
    case
        when feed_coverage.is_same_coverage then {{ ratio('totals.enrolment', 'totals.fulltime_teachers') }}
    end as pupil_teacher_ratio,
    {{ suppressed_cells() }} as suppressed
from totals
left join feed_coverage
    on
        totals.area_code = feed_coverage.area_code
        and totals.period = feed_coverage.period
