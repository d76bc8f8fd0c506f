{# What engines spell differently, in one place: a port to another engine adds `<adapter>__…` here and nothing elsewhere. #}

{% macro is_finite(expression) -%}
    {{ return(adapter.dispatch('is_finite', 'eduplan')(expression)) }}
{%- endmacro %}

{% macro default__is_finite(expression) -%}
    isfinite({{ expression }})
{%- endmacro %}

{% macro spark__is_finite(expression) -%}
    not isnan({{ expression }}) and abs({{ expression }}) < double('infinity')
{%- endmacro %}

{% macro join_texts(expression, separator, order_by, condition) -%}
    {{ return(adapter.dispatch('join_texts', 'eduplan')(expression, separator, order_by, condition)) }}
{%- endmacro %}

{% macro default__join_texts(expression, separator, order_by, condition) -%}
    string_agg({{ expression }}, '{{ separator }}' order by {{ order_by }}) filter (where {{ condition }})
{%- endmacro %}

{% macro spark__join_texts(expression, separator, order_by, condition) -%}
    array_join(
        transform(
            array_sort(collect_list(struct({{ order_by }} as k, {{ expression }} as v)) filter (where {{ condition }})),
            pair -> pair.v
        ),
        '{{ separator }}'
    )
{%- endmacro %}
