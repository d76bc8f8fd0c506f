{%- set bands = [
    'band_le25', 'band_26_30', 'band_31_35', 'band_36_40', 'band_41_45',
    'band_46_50', 'band_51_55', 'band_56_60', 'band_61_65', 'band_ge66',
] -%}
with pivoted as (
    select
        delivery_id,
        stat_year,
        school_code,
        stage,
        max(value) filter (where measure = 'enrolment') as enrolment,
        max(value) filter (where measure = 'entrants') as entrants,
        max(value) filter (where measure in ('graduates', 'leavers')) as graduates,
        max(value) filter (where measure = 'expected_graduates') as expected_graduates,
        max(value) filter (where measure = 'female') as female,
        max(value) filter (where measure in ('class_total', 'classes_total')) as class_count,
        {%- for band in bands %}
        coalesce(max(value) filter (where measure = '{{ band }}'), 0) as {{ band }},
        {%- endfor %}
        max(value) filter (where measure = 'class_total') as class_total
    from {{ ref('stg_census_figure') }}
    group by delivery_id, stat_year, school_code, stage
)

select
    schools.period,
    schools.area_code,
    schools.school_code,
    pivoted.stage,
    schools.is_public,
    {{ is_urban('schools.urban_rural_code') }} as is_urban,
    {{ is_inclusive('schools.is_public', 'schools.is_inclusive_private') }} as is_inclusive,
    pivoted.enrolment,
    pivoted.entrants,
    pivoted.graduates,
    pivoted.expected_graduates,
    pivoted.female,
    pivoted.class_count,
    pivoted.class_total,
    case when pivoted.class_total is not null then {{ class_le45('pivoted') }} end as class_le45,
    case when pivoted.class_total is not null then pivoted.band_46_50 end as class_46_50,
    case when pivoted.class_total is not null then {{ class_46_55('pivoted') }} end as class_46_55,
    case when pivoted.class_total is not null then {{ class_56_65('pivoted') }} end as class_56_65,
    case when pivoted.class_total is not null then pivoted.band_ge66 end as class_ge66
from pivoted
inner join {{ ref('int_school_year') }} as schools
    on
        pivoted.delivery_id = schools.delivery_id
        and pivoted.stat_year = schools.period
        and pivoted.school_code = schools.school_code
