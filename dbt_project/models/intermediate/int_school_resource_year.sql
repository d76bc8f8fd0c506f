{#- A blank cell of a form that was handed in is none of it; a form that was not handed in leaves NULL. -#}
{%- set stage_forms = [('primary', '4155p'), ('junior', '4155j')] -%}
{%- set degrees = {
    'primary': "'teachers_doctor', 'teachers_master', 'teachers_bachelor', 'teachers_college'",
    'junior': "'teachers_doctor', 'teachers_master', 'teachers_bachelor'",
} -%}
with pivoted as (
    select
        delivery_id,
        stat_year,
        school_code,
        {%- for stage, form in stage_forms %}
        sum(value) filter (
            where form = '{{ form }}' and measure in ({{ degrees[stage] }})
        ) as above_required_{{ stage }},
        sum(value) filter (
            where form = '{{ form }}' and measure in ('teachers_pe', 'teachers_music', 'teachers_art')
        ) as pe_music_art_{{ stage }},
        sum(value) filter (where form = '1102' and measure = 'backbone_{{ stage }}') as backbone_{{ stage }},
        count(*) filter (where form = '{{ form }}') > 0 as has_{{ stage }}_teachers,
        {%- endfor %}
        sum(value) filter (where form = '5176' and measure = 'teaching_area_m2') as teaching_area_m2,
        sum(value) filter (where form = '5176' and measure = 'equipment_value_wan') * 10000 as equipment_value_yuan,
        sum(value) filter (where form = '5176' and measure = 'network_classrooms') as network_classrooms,
        sum(value) filter (where form = '5170' and measure = 'sports_area_m2') as sports_area_m2,
        count(*) filter (where form = '1102') > 0 as has_backbone,
        count(*) filter (where form = '5170') > 0 as has_sports,
        count(*) filter (where form = '5176') > 0 as has_premises
    from {{ ref('stg_census_resource') }}
    group by delivery_id, stat_year, school_code
)

select
    schools.period,
    schools.school_code,
    {%- for stage, form in stage_forms %}
    case when pivoted.has_{{ stage }}_teachers then coalesce(pivoted.above_required_{{ stage }}, 0) end
        as above_required_{{ stage }},
    case when pivoted.has_{{ stage }}_teachers then coalesce(pivoted.pe_music_art_{{ stage }}, 0) end
        as pe_music_art_{{ stage }},
    case when pivoted.has_backbone then coalesce(pivoted.backbone_{{ stage }}, 0) end as backbone_{{ stage }},
    {%- endfor %}
    case when pivoted.has_premises then coalesce(pivoted.teaching_area_m2, 0) end as teaching_area_m2,
    case when pivoted.has_premises then coalesce(pivoted.equipment_value_yuan, 0) end as equipment_value_yuan,
    case when pivoted.has_premises then coalesce(pivoted.network_classrooms, 0) end as network_classrooms,
    case when pivoted.has_sports then coalesce(pivoted.sports_area_m2, 0) end as sports_area_m2
from pivoted
inner join {{ ref('int_school_year') }} as schools
    on
        pivoted.delivery_id = schools.delivery_id
        and pivoted.stat_year = schools.period
        and pivoted.school_code = schools.school_code
