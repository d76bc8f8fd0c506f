{% macro suppressed_cells() -%}
    cast(null as varchar)
{%- endmacro %}
