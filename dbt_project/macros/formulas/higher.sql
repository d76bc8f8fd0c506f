{# Counting rules of higher education. #}

{% macro is_stem_field(field) -%}
    coalesce({{ field }} in ('science', 'engineering', 'agriculture', 'medicine'), false)
{%- endmacro %}

{% macro is_vocational_institution(institution_kind) -%}
    coalesce({{ institution_kind }} in ('vocational_college', 'vocational_university'), false)
{%- endmacro %}
