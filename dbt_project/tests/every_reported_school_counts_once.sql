{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_school_year'}}}) }}
-- A school that two areas report, twice in a delivery, or from an area not valid that year, counts once or not at all:
-- the marts stay right, and whoever reads the build should know. What follows from all that a test looks at waits for
-- the test; from this last table nothing follows.
-- depends_on: {{ ref('dim_school') }}
select
    reports.stat_year,
    reports.school_code,
    count(*) as times_reported
from {{ ref('stg_census_school') }} as reports
left join {{ ref('int_school_year') }} as schools
    on
        reports.stat_year = schools.period
        and reports.school_code = schools.school_code
        and reports.delivery_id = schools.delivery_id
group by reports.stat_year, reports.school_code
having
    count(*) > 1
    or count(schools.school_code) = 0
