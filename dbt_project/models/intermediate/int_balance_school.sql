with stages as (
    select 'primary' as stage
    union all
    select 'junior' as stage
),

pupils as (
    select
        period,
        school_code,
        sum(enrolment) as school_pupils,
        sum(enrolment) filter (where stage = 'primary') as primary_pupils,
        sum(enrolment) filter (where stage = 'junior') as junior_pupils
    from {{ ref('int_school_stage_year') }}
    where stage in ('primary', 'junior', 'senior_general')
    group by period, school_code
),

candidates as (
    select
        schools.period,
        schools.area_code,
        schools.school_code,
        stages.stage,
        case when stages.stage = 'primary' then pupils.primary_pupils else pupils.junior_pupils end as pupils,
        pupils.school_pupils,
        schools.school_type_code = '218' as is_teaching_point,
        coalesce(
            schools.stages like concat('%', stages.stage, '%')
            and (schools.counts_as_school or schools.school_type_code = '218'),
            false
        ) as is_in_scope,
        resources.school_code is not null as has_resources
    from {{ ref('int_school_year') }} as schools
    cross join stages
    left join pupils
        on
            schools.period = pupils.period
            and schools.school_code = pupils.school_code
    left join {{ ref('int_school_resource_year') }} as resources
        on
            schools.period = resources.period
            and schools.school_code = resources.school_code
)

select
    period,
    area_code,
    school_code,
    stage,
    pupils,
    school_pupils,
    {{ balance_exclusion('pupils', 'is_in_scope', 'is_teaching_point', 'has_resources') }} as exclusion_zh
from candidates
where
    is_in_scope
    or pupils > 0
