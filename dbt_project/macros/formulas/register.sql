{#- Counting recognition decisions. -#}

{% macro year_end(period) -%}
    make_date({{ period }}, 12, 31)
{%- endmacro %}

{% macro stands_on(spell, day) -%}
    ({{ spell }}.granted_on <= {{ day }} and coalesce({{ spell }}.withdrawn_on > {{ day }}, true))
{%- endmacro %}

{% macro denominator_zh(denominator) -%}
    case {{ denominator }}
        when 'districts' then '个区县'
        when 'senior_general_schools' then '所设普通高中的学校'
        when 'ethnic_area_schools' then '所民族地区学校'
    end
{%- endmacro %}
