with students as (
    select
        stat_year as period,
        sum(enrolled) as enrolled,
        sum(enrolled) filter (where scale_group = 'postgraduate') as postgraduates,
        sum(enrolled) filter (where scale_group = 'undergraduate') as undergraduates,
        sum(enrolled)
        filter (where scale_group = 'undergraduate' and {{ is_stem_field('field') }}) as stem_undergraduates,
        sum(graduates) as graduates
    from {{ ref('stg_higher_enrolment') }}
    group by stat_year
),

staff as (
    select
        stat_year as period,
        sum(full_time_teachers) as full_time_teachers,
        sum(full_time_teachers) filter (where {{ is_senior_title('title') }}) as senior_title_teachers,
        sum(full_time_teachers) filter (where {{ is_vocational_institution('institution_kind') }})
            as vocational_full_time_teachers,
        sum(professional_teachers) filter (where {{ is_vocational_institution('institution_kind') }})
            as vocational_professional_teachers,
        sum(dual_qualified) filter (where {{ is_vocational_institution('institution_kind') }})
            as vocational_dual_qualified
    from {{ ref('stg_higher_staff') }}
    group by stat_year
)

select
    coalesce(students.period, staff.period) as period,
    students.enrolled,
    students.postgraduates,
    students.undergraduates,
    students.stem_undergraduates,
    students.graduates,
    staff.full_time_teachers,
    staff.senior_title_teachers,
    staff.vocational_full_time_teachers,
    staff.vocational_professional_teachers,
    staff.vocational_dual_qualified
from students
full outer join staff
    on students.period = staff.period
