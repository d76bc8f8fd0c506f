{#- Measures of the fiscal accounts that standing rules compare. -#}

{% macro fiscal_measures() -%}
    {{ return([
        ('budget_education_spending', '元'),
        ('fiscal_education_funds', '元'),
        ('education_appropriation', '元'),
        ('recurrent_revenue', '元'),
        ('teacher_pay', '元'),
        ('civil_servant_pay', '元'),
        ('education_share', '%'),
    ]) }}
{%- endmacro %}

{% macro fiscal_education_share(accounts) -%}
    {{ ratio_percent(accounts ~ '.budget_education_spending', accounts ~ '.general_budget_spending') }}
{%- endmacro %}

{% macro at_least_status(value, limit, is_strict) -%}
    case
        when {{ value }} > {{ limit }} then 'holds'
        when {{ value }} = {{ limit }} and not {{ is_strict }} then 'holds'
        else 'broken'
    end
{%- endmacro %}
