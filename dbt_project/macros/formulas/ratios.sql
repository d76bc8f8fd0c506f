{# Ratios: the only place where exact decimals become DOUBLE, by one final division. Never inf, never NaN. #}

{% macro finite_or_null(expression) -%}
    case when {{ is_finite(expression) }} then {{ expression }} end
{%- endmacro %}

{% macro ratio(numerator, denominator) -%}
    {{ finite_or_null('cast(' ~ numerator ~ ' as double) / nullif(cast(' ~ denominator ~ ' as double), 0)') }}
{%- endmacro %}

{% macro ratio_percent(numerator, denominator) -%}
    {{ finite_or_null('100 * cast(' ~ numerator ~ ' as double) / nullif(cast(' ~ denominator ~ ' as double), 0)') }}
{%- endmacro %}

{% macro in_wan(count) -%}
    cast({{ count }} as double) / 10000
{%- endmacro %}

{% macro in_yi(amount_yuan) -%}
    cast({{ amount_yuan }} as double) / 100000000
{%- endmacro %}

{% macro rounded_text(value, decimals) -%}
    cast(round({{ value }}, {{ decimals }}) as varchar)
{%- endmacro %}

{% macro indicator_value(value_rule, numerator, denominator) -%}
    case {{ value_rule }}
        when 'wan' then {{ in_wan(numerator) }}
        when 'yi' then {{ in_yi(numerator) }}
        when 'count' then cast({{ numerator }} as double)
        when 'percent' then {{ ratio_percent(numerator, denominator) }}
        when 'ratio' then {{ ratio(numerator, denominator) }}
    end
{%- endmacro %}
