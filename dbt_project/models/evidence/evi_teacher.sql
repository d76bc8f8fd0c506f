{#- indicator, role, stages, which of their full-time teachers count: one a person, proved by the main post's row. -#}
{%- set all_stages = stage_names() -%}
{%- set compulsory = ['primary', 'junior'] -%}
{%- set school = ['preschool', 'primary', 'junior', 'senior_general'] -%}
{%- set general = ['primary', 'junior', 'senior_general'] -%}
{%- set vocational = ['senior_vocational'] -%}
{%- set certified = certificate_covers('certificate_stage', 'stage') -%}
{%- set dual_professional = is_dual_qualified_professional('dual_qualified', 'professional_course') -%}
{%- set counted = [
    ('fulltime_teachers', 'numerator', all_stages, 'true'),
    ('teacher_bachelor_share', 'numerator', compulsory, 'is_bachelor_or_above'),
    ('teacher_bachelor_share', 'denominator', compulsory, 'true'),
    ('pre_teacher_certified_share', 'numerator', ['preschool'], certified),
    ('pre_teacher_certified_share', 'denominator', ['preschool'], 'true'),
    ('mid_senior_title_share', 'numerator', school, is_middle_or_senior_title('title')),
    ('mid_senior_title_share', 'denominator', school, 'true'),
    ('vocational_dual_share_professional', 'numerator', vocational, dual_professional),
    ('vocational_dual_share_professional', 'denominator', vocational, 'coalesce(professional_course, false)'),
    ('vocational_dual_share_fulltime', 'numerator', vocational, 'coalesce(dual_qualified, false)'),
    ('vocational_dual_share_fulltime', 'denominator', vocational, 'true'),
    ('teacher_certified_share', 'numerator', general, certified),
    ('teacher_certified_share', 'denominator', general, 'true'),
    ('teacher_qualified_share', 'numerator', school, 'is_qualified'),
    ('teacher_qualified_share', 'denominator', school, 'true'),
    ('compulsory_backbone_share', 'numerator', compulsory, is_district_backbone('backbone_level')),
    ('compulsory_backbone_share', 'denominator', compulsory, 'true'),
    ('city_backbone_teachers', 'numerator', school, is_city_backbone('backbone_level')),
    ('primary_pupil_teacher_ratio', 'denominator', ['primary'], 'true'),
    ('junior_pupil_teacher_ratio', 'denominator', ['junior'], 'true'),
    ('senior_pupil_teacher_ratio', 'denominator', ['senior_general'], 'true'),
    ('pre_pupil_teacher_ratio', 'denominator', ['preschool'], 'true'),
] -%}
with teachers as (
    select
        posts.*,
        {{ education_at_least('posts.education', 'standards.qualified_from') }} as is_qualified
    from {{ ref('int_teacher_main_post') }} as posts
    left join {{ ref('teacher_standard') }} as standards
        on posts.stage = standards.stage
    where posts.post_category = 'full_time_teacher'
)
{% for indicator, role, stages, condition in counted %}
select
    '{{ indicator }}' as indicator_id,
    period,
    area_code,
    '{{ role }}' as role,
    cast(1 as decimal(30, 10)) as amount,
    1 as divisor,
    delivery_id,
    member,
    sheet,
    row_no,
    '' as source_cell
from teachers
where
    stage in ('{{ stages | join("', '") }}')
    and {{ condition }}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
