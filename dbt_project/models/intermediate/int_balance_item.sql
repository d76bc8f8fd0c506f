{#- item and the amount of a stage; what the school has as a whole is shared out by pupils. -#}
{%- set items = [
    (1, amount_of_stage('above_required')),
    (2, amount_of_stage('backbone')),
    (3, amount_of_stage('pe_music_art')),
    (4, share_of_school('resources.teaching_area_m2', 'schools.pupils', 'schools.school_pupils')),
    (5, share_of_school('resources.sports_area_m2', 'schools.pupils', 'schools.school_pupils')),
    (6, share_of_school('resources.equipment_value_yuan', 'schools.pupils', 'schools.school_pupils')),
    (7, share_of_school('resources.network_classrooms', 'schools.pupils', 'schools.school_pupils')),
] -%}
with amounts as (
    {%- for item_no, amount in items %}
    select
        schools.period,
        schools.area_code,
        schools.school_code,
        schools.stage,
        schools.pupils,
        {{ item_no }} as item_no,
        {{ amount }} as amount
    from {{ ref('int_balance_school') }} as schools
    left join {{ ref('int_school_resource_year') }} as resources
        on
            schools.period = resources.period
            and schools.school_code = resources.school_code
    where schools.exclusion_zh is null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    amounts.period,
    amounts.area_code,
    amounts.school_code,
    amounts.stage,
    amounts.item_no,
    standards.item_zh,
    standards.unit_zh,
    standards.line,
    standards.cv_limit,
    standards.record_zh,
    amounts.pupils,
    amounts.amount,
    standards.per_pupils * {{ ratio('amounts.amount', 'amounts.pupils') }} as value,
    {{ reaches('amounts.amount', 'amounts.pupils', 'standards.per_pupils', 'standards.line') }} as is_line_met,
    {{ reaches(
        'amounts.amount', 'amounts.pupils', 'standards.per_pupils', '(standards.line * standards.floor_share)'
    ) }} as is_floor_met
from amounts
inner join {{ ref('balance_standard') }} as standards
    on
        amounts.item_no = standards.item_no
        and amounts.stage = standards.stage
