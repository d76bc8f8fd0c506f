with schools as (
    {{ classed_schools() }}
),

counted as (
    select
        period,
        area_code,
        count(*) filter (where counts_as_school and counting_stage = 'preschool') as kindergartens,
        count(*) filter (where counts_as_school and counting_stage = 'preschool' and is_grade2_plus)
            as kindergartens_grade2_plus,
        count(*) filter (where counts_as_school and counting_stage = 'preschool' and is_grade1_plus)
            as kindergartens_grade1_plus,
        count(*) filter (where is_general_school) as general_schools,
        count(*) filter (where is_general_school and (is_in_group or is_in_school_district)) as general_in_either,
        count(*) filter (where is_general_school and is_oversize_senior) as senior_oversize,
        count(*) filter (where is_compulsory) as compulsory_schools,
        count(*) filter (where is_compulsory and is_in_group) as compulsory_in_group,
        count(*) filter (where is_compulsory and is_in_school_district) as compulsory_in_district,
        count(*) filter (where is_compulsory and is_oversize) as compulsory_oversize,
        count(*) filter (where school_type_code = '341') as complete_middle_schools,
        count(*) filter (where counts_as_school and counting_stage = 'special') as special_schools
    from schools
    group by period, area_code
)

select
    reported.period,
    reported.area_code,
    areas.subgroup_zh,
    coalesce(areas.area_level = 'district' and areas.population_2020 >= 200000, false) as has_200k_people,
    coalesce(counted.kindergartens, 0) as kindergartens,
    coalesce(counted.kindergartens_grade2_plus, 0) as kindergartens_grade2_plus,
    coalesce(counted.kindergartens_grade1_plus, 0) as kindergartens_grade1_plus,
    coalesce(counted.general_schools, 0) as general_schools,
    coalesce(counted.general_in_either, 0) as general_in_either,
    coalesce(counted.senior_oversize, 0) as senior_oversize,
    coalesce(counted.compulsory_schools, 0) as compulsory_schools,
    coalesce(counted.compulsory_in_group, 0) as compulsory_in_group,
    coalesce(counted.compulsory_in_district, 0) as compulsory_in_district,
    coalesce(counted.compulsory_oversize, 0) as compulsory_oversize,
    coalesce(counted.complete_middle_schools, 0) as complete_middle_schools,
    coalesce(counted.special_schools, 0) as special_schools
from {{ ref('int_feed_area_year') }} as reported
inner join {{ ref('stg_area') }} as areas
    on reported.area_code = areas.area_code
left join counted
    on
        reported.period = counted.period
        and reported.area_code = counted.area_code
where
    reported.feed = 'school_census'
    and reported.is_reported
