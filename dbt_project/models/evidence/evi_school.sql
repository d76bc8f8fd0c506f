{#- indicator, role, which schools count: one each, proved by the row of the school's profile. -#}
{%- set counted = [
    ('school_count', 'numerator', 'is_counted'),
    ('pre_grade2_plus_share', 'numerator', "is_kindergarten and is_grade2_plus"),
    ('pre_grade2_plus_share', 'denominator', 'is_kindergarten'),
    ('pre_grade1_plus_share', 'numerator', 'is_kindergarten and is_grade1_plus'),
    ('pre_grade1_plus_share', 'denominator', 'is_kindergarten'),
    ('group_or_district_share', 'numerator', 'is_general_school and (is_in_group or is_in_school_district)'),
    ('group_or_district_share', 'denominator', 'is_general_school'),
    ('senior_oversize_schools', 'numerator', 'is_general_school and is_oversize_senior'),
    ('group_schooling_share', 'numerator', 'is_compulsory and is_in_group'),
    ('group_schooling_share', 'denominator', 'is_compulsory'),
    ('group_schooling_share_core', 'numerator', 'is_core and is_compulsory and is_in_group'),
    ('group_schooling_share_core', 'denominator', 'is_core and is_compulsory'),
    ('district_schooling_share', 'numerator', 'is_compulsory and is_in_school_district'),
    ('district_schooling_share', 'denominator', 'is_compulsory'),
    ('district_schooling_share_core', 'numerator', 'is_core and is_compulsory and is_in_school_district'),
    ('district_schooling_share_core', 'denominator', 'is_core and is_compulsory'),
    ('compulsory_oversize_schools', 'numerator', 'is_compulsory and is_oversize'),
    ('complete_middle_schools', 'numerator', "school_type_code = '341'"),
    ('special_school_coverage_200k', 'numerator', 'is_first_special'),
] -%}
with classed as (
    {{ classed_schools() }}
),

schools as (
    select
        schools.period,
        schools.area_code,
        schools.school_type_code,
        schools.is_in_group,
        schools.is_in_school_district,
        schools.counts_as_school and schools.counting_stage is not null as is_counted,
        schools.counts_as_school and schools.counting_stage = 'preschool' as is_kindergarten,
        schools.is_grade2_plus,
        schools.is_grade1_plus,
        schools.is_general_school,
        schools.is_oversize_senior,
        schools.is_compulsory,
        schools.is_oversize,
        coalesce(areas.subgroup_zh = '中心城区', false) as is_core,
        -- A district counts once however many special schools it has: the first stands for it.
        coalesce(areas.area_level = 'district' and areas.population_2020 >= 200000, false)
        and schools.counts_as_school
        and schools.counting_stage = 'special'
        and row_number() over (
            partition by
                schools.period, schools.area_code, schools.counts_as_school and schools.counting_stage = 'special'
            order by schools.school_code
        ) = 1 as is_first_special,
        schools.delivery_id,
        schools.member,
        schools.sheet,
        schools.row_no
    from classed as schools
    inner join {{ ref('stg_area') }} as areas
        on schools.area_code = areas.area_code
),

-- The denominator counts districts: what proves one is that its report was taken in, and the census in seed `area`.
large_districts as (
    select
        areas.period,
        areas.area_code,
        deliveries.delivery_id
    from {{ ref('int_area_year') }} as areas
    inner join {{ ref('stg_area') }} as known
        on areas.area_code = known.area_code
    inner join {{ ref('stg_delivery') }} as deliveries
        on
            areas.reporting_code = deliveries.area_code
            and areas.period = deliveries.period
    where
        deliveries.feed = 'school_census'
        and deliveries.status in ('accepted', 'partly')
        and known.area_level = 'district'
        and known.population_2020 >= 200000
    qualify row_number() over (
        partition by areas.period, areas.area_code
        order by deliveries.part, deliveries.delivery_id
    ) = 1
)
{% for indicator, role, condition in counted %}
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
from schools
where {{ condition }}
union all
{%- endfor %}
select
    'special_school_coverage_200k' as indicator_id,
    period,
    area_code,
    'denominator' as role,
    cast(1 as decimal(30, 10)) as amount,
    1 as divisor,
    delivery_id,
    '' as member,
    '' as sheet,
    cast(null as integer) as row_no,
    '' as source_cell
from large_districts
