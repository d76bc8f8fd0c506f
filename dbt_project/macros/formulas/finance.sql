{# Formulas of the education finance statistics. Ten decimals carry twelfths through sums; what is published has four. #}

{% macro average_students(year_start, year_end) -%}
    cast(cast({{ year_start }} * 8 + {{ year_end }} * 4 as double) / 12 as decimal(28, 10))
{%- endmacro %}
