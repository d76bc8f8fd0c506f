{{ config(materialized='view') }}
{#- Nearly everybody stands in one row. Only those who may not are ranked; a hash of year and key finds them cheaply,
    and one that two persons share merely ranks two persons who need no ranking. -#}
with posts as (
    select
        teachers.stat_year as period,
        teachers.person_key,
        hash(teachers.stat_year, teachers.person_key) as key_hash,
        areas.area_code,
        teachers.school_code,
        teachers.post_kind,
        teachers.post_category,
        teachers.stage,
        {{ is_bachelor_or_above('teachers.education') }} as is_bachelor_or_above,
        teachers.education,
        teachers.title,
        teachers.age,
        teachers.certificate_stage,
        teachers.backbone_level,
        teachers.dual_qualified,
        teachers.professional_course,
        teachers.delivery_id,
        teachers.member,
        teachers.sheet,
        teachers.row_no
    from {{ ref('stg_teacher') }} as teachers
    inner join {{ ref('int_area_year') }} as areas
        on
            teachers.stat_year = areas.period
            and teachers.area_code = areas.reporting_code
),

repeated as (
    select key_hash
    from posts
    group by key_hash
    having count(*) > 1
),

single_posts as (
    select posts.* from posts
    left join repeated
        on posts.key_hash = repeated.key_hash
    where repeated.key_hash is null
),

main_posts as (
    select posts.* from posts
    inner join repeated
        on posts.key_hash = repeated.key_hash
    qualify row_number() over (
        partition by posts.period, posts.person_key
        order by {{ post_rank('posts.post_kind') }}, posts.school_code, posts.delivery_id, posts.row_no
    ) = 1
)

select
    period,
    person_key,
    area_code,
    school_code,
    post_kind,
    post_category,
    stage,
    is_bachelor_or_above,
    education,
    title,
    age,
    certificate_stage,
    backbone_level,
    dual_qualified,
    professional_course,
    delivery_id,
    member,
    sheet,
    row_no
from single_posts
union all
select
    period,
    person_key,
    area_code,
    school_code,
    post_kind,
    post_category,
    stage,
    is_bachelor_or_above,
    education,
    title,
    age,
    certificate_stage,
    backbone_level,
    dual_qualified,
    professional_course,
    delivery_id,
    member,
    sheet,
    row_no
from main_posts
