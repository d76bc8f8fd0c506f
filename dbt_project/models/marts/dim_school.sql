with compared as (
    select
        schools.*,
        lag(schools.period) over by_school as previous_period,
        lag(schools.school_name) over by_school as previous_name,
        lag(schools.school_type_code) over by_school as previous_type,
        lag(schools.organiser_code) over by_school as previous_organiser,
        lag(schools.area_code) over by_school as previous_area
    from {{ ref('int_school_year') }} as schools
    window by_school as (
        partition by schools.school_code
        order by schools.period
    )
),

numbered as (
    select
        compared.*,
        sum(
            case
                when
                    compared.school_name is distinct from compared.previous_name
                    or compared.school_type_code is distinct from compared.previous_type
                    or compared.organiser_code is distinct from compared.previous_organiser
                    or compared.area_code is distinct from compared.previous_area
                    or compared.previous_period is null
                    then 1
                else 0
            end
        ) over (
            partition by compared.school_code
            order by compared.period
            rows between unbounded preceding and current row
        ) as version_no
    from compared
),

versions as (
    select
        school_code,
        version_no,
        min(period) as valid_from_year,
        max(period) as last_period
    from numbered
    group by school_code, version_no
),

dated as (
    select
        school_code,
        version_no,
        valid_from_year,
        last_period,
        lead(valid_from_year) over (
            partition by school_code
            order by version_no
        ) as next_from_year
    from versions
),

latest_census as (
    select
        area_code,
        max(period) as period
    from {{ ref('int_feed_area_year') }}
    where
        feed = 'school_census'
        and is_reported
    group by area_code
)

select
    dated.school_code,
    dated.valid_from_year,
    case
        when dated.next_from_year is not null then dated.next_from_year - 1
        when dated.last_period < latest_census.period then dated.last_period
    end as valid_to_year,
    numbered.school_name,
    numbered.area_code,
    numbered.school_type_code,
    numbered.school_type_zh,
    numbered.organiser_code,
    numbered.organiser_zh,
    numbered.is_public,
    numbered.is_inclusive_private,
    numbered.urban_rural_code,
    numbered.kindergarten_grade,
    numbered.delivery_id as last_delivery_id
from dated
inner join numbered
    on
        dated.school_code = numbered.school_code
        and dated.last_period = numbered.period
inner join latest_census
    on numbered.area_code = latest_census.area_code
