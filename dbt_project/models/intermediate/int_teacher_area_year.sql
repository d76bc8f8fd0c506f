select
    period,
    area_code,
    stage,
    count(*) as fulltime_teachers,
    count(*) filter (where is_bachelor_or_above) as bachelor_teachers
from {{ ref('int_teacher_main_post') }}
where post_category = 'full_time_teacher'
group by period, area_code, stage
