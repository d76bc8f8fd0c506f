{# Age groups, years of schooling, cohorts. #}

{% macro in_age_group(row, first_age, last_age) -%}
    ({{ row }}.age_from = {{ row }}.age_to and {{ row }}.age_from between {{ first_age }} and {{ last_age }})
{%- endmacro %}

{% macro is_attainment_group(row, first_age, last_age) -%}
    (
        {{ row }}.age_group_from = {{ first_age }}
        and {{ row }}.age_group_to is not distinct from {{ last_age }}
    )
{%- endmacro %}

{% macro cohort_years() -%}
    8
{%- endmacro %}
