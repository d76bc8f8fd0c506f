{#- Standing rules and statements without a value: how they are compared, and why they cannot be. -#}

{% macro year_on_year_status(value, previous_value, is_strict) -%}
    case
        when {{ value }} > {{ previous_value }} then 'holds'
        when {{ value }} = {{ previous_value }} and not {{ is_strict }} then 'holds'
        else 'broken'
    end
{%- endmacro %}

{% macro about_status(value, limit) -%}
    case
        when abs({{ value }} - {{ limit }}) <= {{ limit }} * {{ var('about_tolerance_percent') }} / 100.0 then 'holds'
        else 'broken'
    end
{%- endmacro %}

{% macro rule_status_zh(status) -%}
    case {{ status }}
        when 'holds' then '符合'
        when 'broken' then '违反'
        when 'cannot_assess' then '无法评估'
    end
{%- endmacro %}

{% macro unanswered_reason(source, caveat) -%}
    concat_ws(
        '；',
        case when not {{ source }}.has_source then '没有数据源' end,
        '数据源尚未接入：' || {{ source }}.absent_feeds_zh,
        '缺：' || nullif({{ source }}.missing_record_zh, ''),
        nullif({{ caveat }}, ''),
        case
            when
                {{ source }}.has_source
                and {{ source }}.absent_feeds_zh is null
                and coalesce({{ source }}.missing_record_zh, '') = ''
                and coalesce({{ caveat }}, '') = ''
                then '尚未约定计算口径'
        end
    )
{%- endmacro %}
