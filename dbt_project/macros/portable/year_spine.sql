{% macro year_spine() -%}
    {%- for year in range(var('first_period'), var('last_period') + 1) %}
    select cast({{ year }} as integer) as period
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
