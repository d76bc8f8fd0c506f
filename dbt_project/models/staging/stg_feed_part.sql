{%- for part_no in range(1, 9) %}
select
    feed,
    per_area,
    first_year,
    period_kind,
    {{ dbt.split_part('parts', "','", part_no) }} as part
from {{ ref('stg_feed') }}
where parts_expected >= {{ part_no }}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
