select
    stat_year,
    area_code,
    school_code,
    person_key,
    post_kind,
    post_category,
    education,
    title,
    age,
    certificate_stage,
    backbone_level,
    dual_qualified,
    professional_course,
    {{ register_stage('teaching_stage') }} as stage,
    delivery_id,
    row_no
from {{ source('records', 'teacher_register__teacher') }}
