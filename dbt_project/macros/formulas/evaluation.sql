{#- How the evaluations of a plan are summed up: binding targets decide, and nothing is averaged. -#}

{% macro evaluation_kind_zh(kind) -%}
    case {{ kind }} when 'annual' then '年度评估' when 'mid_term' then '中期评估' when 'final' then '总结评估' end
{%- endmacro %}

{% macro status_order(status) -%}
    case {{ status }}
        when 'achieved' then 1
        when 'ahead' then 2
        when 'on_pace' then 3
        when 'held' then 4
        when 'holds' then 5
        when 'close' then 6
        when 'behind' then 7
        when 'worsening' then 8
        when 'lost' then 9
        when 'broken' then 10
        else 11
    end
{%- endmacro %}

{% macro binding_status(bound) -%}
    case
        when {{ bound }}.binding_count = 0 then 'cannot_assess'
        when {{ bound }}.behind_count > 0 then 'behind'
        when {{ bound }}.unassessed_count > 0 then 'cannot_assess'
        when {{ bound }}.is_final then 'achieved'
        when {{ bound }}.close_count > 0 then 'close'
        else 'on_pace'
    end
{%- endmacro %}

{% macro binding_note(overall) -%}
    case
        when {{ overall }}.binding_count = 0 then '本规划没有可评价的约束性指标，不作总体结论'
        when {{ overall }}.status = 'behind' then '有约束性指标滞后，其他指标再好也不抵消'
        when {{ overall }}.status = 'cannot_assess'
            then {{ count_text('有', overall ~ '.unassessed_count', '项约束性指标无法评估，不作总体结论') }}
        else '约束性指标全部达到要求；其他指标见计数，不与约束性平均'
    end
{%- endmacro %}
