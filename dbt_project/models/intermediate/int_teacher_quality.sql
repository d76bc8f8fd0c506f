with stages as (
    {{ stage_rows() }}
),

counted as (
    select
        teachers.period,
        teachers.area_code,
        teachers.stage,
        count(*) as fulltime_teachers,
        count(*) filter (where teachers.post_kind = 'contract') as contract_teachers,
        count(*) filter (where {{ is_bachelor_or_above('teachers.education') }}) as bachelor_teachers,
        count(*) filter (where {{ education_at_least('teachers.education', "'master'") }}) as master_teachers,
        count(*) filter (where teachers.education is null) as education_unknown,
        count(*) filter (
            where {{ education_at_least('teachers.education', 'standards.qualified_from') }}
        ) as qualified_teachers,
        count(*) filter (
            where {{ education_at_least('teachers.education', 'standards.above_required_from') }}
        ) as above_required_teachers,
        count(*) filter (where {{ is_senior_title('teachers.title') }}) as senior_title_teachers,
        count(*) filter (where {{ is_middle_or_senior_title('teachers.title') }}) as mid_senior_title_teachers,
        count(*) filter (where {{ is_district_backbone('teachers.backbone_level') }}) as backbone_teachers,
        count(*) filter (where {{ is_city_backbone('teachers.backbone_level') }}) as city_backbone_teachers,
        count(*) filter (
            where {{ certificate_covers('teachers.certificate_stage', 'teachers.stage') }}
        ) as certified_teachers,
        count(*) filter (where coalesce(teachers.professional_course, false)) as professional_teachers,
        count(*) filter (where coalesce(teachers.dual_qualified, false)) as dual_qualified_teachers,
        count(*) filter (
            where {{ is_dual_qualified_professional('teachers.dual_qualified', 'teachers.professional_course') }}
        ) as dual_qualified_professionals,
        count(*) filter (where teachers.age < 30) as age_le29,
        count(*) filter (where teachers.age between 30 and 39) as age_30_39,
        count(*) filter (where teachers.age between 40 and 49) as age_40_49,
        count(*) filter (where teachers.age between 50 and 59) as age_50_59,
        count(*) filter (where teachers.age >= 60) as age_ge60,
        count(*) filter (where teachers.age is null) as age_unknown
    from {{ ref('int_teacher_main_post') }} as teachers
    left join {{ ref('teacher_standard') }} as standards
        on teachers.stage = standards.stage
    where teachers.post_category = 'full_time_teacher'
    group by teachers.period, teachers.area_code, teachers.stage
)

select
    reported.period,
    reported.area_code,
    stages.stage,
    coalesce(counted.fulltime_teachers, 0) as fulltime_teachers,
    coalesce(counted.contract_teachers, 0) as contract_teachers,
    coalesce(counted.bachelor_teachers, 0) as bachelor_teachers,
    coalesce(counted.master_teachers, 0) as master_teachers,
    coalesce(counted.education_unknown, 0) as education_unknown,
    case when standards.qualified_from is not null then coalesce(counted.qualified_teachers, 0) end
        as qualified_teachers,
    case when standards.above_required_from is not null then coalesce(counted.above_required_teachers, 0) end
        as above_required_teachers,
    coalesce(counted.senior_title_teachers, 0) as senior_title_teachers,
    coalesce(counted.mid_senior_title_teachers, 0) as mid_senior_title_teachers,
    coalesce(counted.backbone_teachers, 0) as backbone_teachers,
    coalesce(counted.city_backbone_teachers, 0) as city_backbone_teachers,
    coalesce(counted.certified_teachers, 0) as certified_teachers,
    coalesce(counted.professional_teachers, 0) as professional_teachers,
    coalesce(counted.dual_qualified_teachers, 0) as dual_qualified_teachers,
    coalesce(counted.dual_qualified_professionals, 0) as dual_qualified_professionals,
    coalesce(counted.age_le29, 0) as age_le29,
    coalesce(counted.age_30_39, 0) as age_30_39,
    coalesce(counted.age_40_49, 0) as age_40_49,
    coalesce(counted.age_50_59, 0) as age_50_59,
    coalesce(counted.age_ge60, 0) as age_ge60,
    coalesce(counted.age_unknown, 0) as age_unknown
from {{ ref('int_feed_area_year') }} as reported
cross join stages
left join {{ ref('teacher_standard') }} as standards
    on stages.stage = standards.stage
left join counted
    on
        reported.period = counted.period
        and reported.area_code = counted.area_code
        and stages.stage = counted.stage
where
    reported.feed = 'teacher_register'
    and reported.is_reported
