select
    schools.stat_year as period,
    schools.school_code,
    areas.area_code,
    schools.school_name,
    schools.school_type_code,
    types.label_zh as school_type_zh,
    types.stages,
    {{ counting_stage('types.stages') }} as counting_stage,
    coalesce(types.counts_as_school, false) as counts_as_school,
    schools.organiser_code,
    organisers.label_zh as organiser_zh,
    organisers.is_public,
    coalesce(schools.inclusive_private, false) as is_inclusive_private,
    coalesce(schools.group_schooling, false) as is_in_group,
    coalesce(schools.district_schooling, false) as is_in_school_district,
    schools.urban_rural_code,
    schools.kindergarten_grade,
    schools.delivery_id,
    schools.member,
    schools.sheet,
    schools.row_no
from {{ ref('stg_census_school') }} as schools
inner join {{ ref('int_area_year') }} as areas
    on
        schools.stat_year = areas.period
        and schools.area_code = areas.reporting_code
left join {{ ref('code_school_type') }} as types
    on schools.school_type_code = types.code
left join {{ ref('code_organiser') }} as organisers
    on schools.organiser_code = organisers.code
qualify row_number() over (
    partition by schools.stat_year, schools.school_code
    order by areas.area_code, schools.delivery_id, schools.member, schools.sheet, schools.row_no
) = 1
