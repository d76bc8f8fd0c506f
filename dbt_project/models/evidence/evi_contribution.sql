{%- set subjects = ['evi_census_figure', 'evi_school', 'evi_teacher', 'evi_finance'] -%}
with contributions as (
    {%- for subject in subjects %}
    select * from {{ ref(subject) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select contributions.*
from contributions
-- Only what the indicator was made from: an area that reported one of two feeds has no ratio.
inner join {{ ref('int_indicator_part') }} as parts
    on
        contributions.indicator_id = parts.indicator_id
        and contributions.period = parts.period
        and contributions.area_code = parts.area_code
union all
select * from {{ ref('evi_official') }}
