{#- An institution that reported anything last year is expected this year, if anybody reported this year at all. -#}
with delivered as (
    select
        period,
        {{ dbt.split_part('part', "'-'", 1) }} as institution_code,
        {{ dbt.split_part('part', "'-'", 2) }} as material,
        status <> 'refused' as is_reported,
        rows_quarantined,
        reported_on
    from {{ ref('stg_delivery') }}
    where feed = 'higher_education'
),

expected as (
    select
        period,
        institution_code
    from delivered
    union
    select
        following.period,
        earlier.institution_code
    from delivered as earlier
    inner join delivered as following
        on earlier.period + 1 = following.period
    where earlier.is_reported
),

materials as (
    select 'enrolment' as material
    union all
    select 'staff' as material
)

select
    expected.period,
    expected.institution_code,
    materials.material,
    coalesce(delivered.is_reported, false) as is_reported,
    case when delivered.is_reported then delivered.rows_quarantined else 0 end as rows_quarantined,
    case when delivered.is_reported then delivered.reported_on end as reported_on
from expected
cross join materials
left join delivered
    on
        expected.period = delivered.period
        and expected.institution_code = delivered.institution_code
        and materials.material = delivered.material
