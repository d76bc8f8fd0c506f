{# Formulas of the education finance statistics. Ten decimals carry twelfths through sums; what is published has four. #}

{% macro average_students(year_start, year_end) -%}
    cast(cast({{ year_start }} * 8 + {{ year_end }} * 4 as double) / 12 as decimal(28, 10))
{%- endmacro %}

{% macro finance_item_group(item) -%}
    case
        when {{ item }} = '商品和服务支出' or {{ item }} like '%、商品和服务支出' then 'goods_and_services'
        when {{ item }} = '资本性支出' or {{ item }} like '%、资本性支出' then 'capital'
    end
{%- endmacro %}

{% macro public_funds(goods_and_services, capital, construction) -%}
    {{ goods_and_services }} + {{ capital }} - coalesce({{ construction }}, 0)
{%- endmacro %}

{% macro per_student(amount, average_students) -%}
    cast({{ ratio(amount, average_students) }} as decimal(24, 4))
{%- endmacro %}

{% macro growth_percent(value, previous_value) -%}
    100 * (({{ ratio(value, previous_value) }}) - 1)
{%- endmacro %}

{% macro finance_kind(crosswalk_stage) -%}
    coalesce({{ register_stage(crosswalk_stage) }}, 'unclassified')
{%- endmacro %}
