{# Counting rules of the teacher register. #}

{% macro register_stage(teaching_stage) -%}
    case when {{ teaching_stage }} = 'vocational' then 'senior_vocational' else {{ teaching_stage }} end
{%- endmacro %}

{% macro post_rank(post_kind) -%}
    case {{ post_kind }} when 'established' then 1 else 2 end
{%- endmacro %}

{% macro is_bachelor_or_above(education) -%}
    coalesce({{ education }} in ('doctor', 'master', 'bachelor'), false)
{%- endmacro %}
