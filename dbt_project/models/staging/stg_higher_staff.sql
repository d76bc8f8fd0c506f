{{ config(materialized='table') }}
{#- A table: hundreds of small files are opened once, and not by everything that asks. -#}
select
    stat_year,
    institution_code,
    institution_name,
    institution_kind,
    title,
    full_time_teachers,
    professional_teachers,
    dual_qualified,
    reported_on,
    delivery_id,
    row_no
from {{ source('records', 'higher_education__staff') }}
