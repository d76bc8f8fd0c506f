{{ config(materialized='table') }}
{#- A table: hundreds of small files are opened once, and not by everything that asks. -#}
select
    students.stat_year,
    students.institution_code,
    students.institution_name,
    students.institution_kind,
    students.level,
    levels.scale_group,
    students.discipline,
    disciplines.field,
    students.entrants,
    students.enrolled,
    students.graduates,
    students.reported_on,
    students.delivery_id,
    students.row_no
from {{ source('records', 'higher_education__enrolment') }} as students
inner join {{ ref('code_degree_level') }} as levels
    on students.level = levels.code
inner join {{ ref('code_discipline') }} as disciplines
    on students.discipline = disciplines.code
