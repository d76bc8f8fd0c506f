{% test finite_numbers(model, columns) %}
    {# NULL says "no number"; inf and NaN say nothing and poison every sum. #}
    select {{ columns | join(', ') }}
    from {{ model }}
    where
        {%- for column in columns %}
        not coalesce({{ is_finite(column) }}, true){{ " or" if not loop.last }}
        {%- endfor %}
{% endtest %}
