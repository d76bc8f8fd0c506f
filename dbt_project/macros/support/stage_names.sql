{% macro stage_names() -%}
    {{ return(['preschool', 'primary', 'junior', 'senior_general', 'senior_vocational', 'special']) }}
{%- endmacro %}

{% macro stage_rows() -%}
    {%- for stage in stage_names() %}
    select '{{ stage }}' as stage
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
