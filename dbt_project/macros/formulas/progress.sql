{# How a target is judged. Every comparison is made on unrounded values. #}

{% macro pace_due(year, baseline_year, final_year) -%}
    cast({{ year }} - {{ baseline_year }} as double) / nullif({{ final_year }} - {{ baseline_year }}, 0)
{%- endmacro %}

{% macro pace_expected(baseline, target, year, baseline_year, final_year) -%}
    {{ baseline }} + ({{ target }} - {{ baseline }}) * {{ pace_due(year, baseline_year, final_year) }}
{%- endmacro %}

{% macro pace_made(baseline, target, value) -%}
    ({{ value }} - {{ baseline }}) / nullif({{ target }} - {{ baseline }}, 0)
{%- endmacro %}

{% macro pace_ratio(baseline, target, value, year, baseline_year, final_year) -%}
    ({{ pace_made(baseline, target, value) }}) / nullif({{ pace_due(year, baseline_year, final_year) }}, 0)
{%- endmacro %}

{% macro forecast_linear(baseline, value, year, baseline_year, final_year) -%}
    {{ baseline }} + ({{ value }} - {{ baseline }}) / nullif({{ pace_due(year, baseline_year, final_year) }}, 0)
{%- endmacro %}

{% macro gap_to_target(target, value, direction) -%}
    case when {{ direction }} = 'down' then {{ value }} - {{ target }} else {{ target }} - {{ value }} end
{%- endmacro %}

{% macro target_met(value, operator, target, direction) -%}
    case
        when {{ operator }} = '>' then {{ value }} > {{ target }}
        when {{ operator }} = '<' then {{ value }} < {{ target }}
        when {{ operator }} = '>=' then {{ value }} >= {{ target }}
        when {{ operator }} = '<=' then {{ value }} <= {{ target }}
        when {{ direction }} = 'down' then {{ value }} <= {{ target }}
        else {{ value }} >= {{ target }}
    end
{%- endmacro %}

{% macro progress_rule(baseline, target, direction) -%}
    case
        when {{ target }} is null then 'no_number'
        when {{ baseline }} is null then 'no_baseline'
        when abs({{ target }} - {{ baseline }}) <= {{ var('level_tolerance') }} then 'maintain'
        when {{ direction }} = 'down' and {{ baseline }} < {{ target }} then 'floor'
        when {{ direction }} <> 'down' and {{ baseline }} > {{ target }} then 'floor'
        else 'pace'
    end
{%- endmacro %}

{% macro level_held(value, target, direction) -%}
    case
        when {{ direction }} = 'down' then {{ value }} <= {{ target }} + {{ var('level_tolerance') }}
        else {{ value }} >= {{ target }} - {{ var('level_tolerance') }}
    end
{%- endmacro %}

{% macro is_approximate(operator, qualifier) -%}
    ({{ operator }} = 'about' or coalesce({{ qualifier }} like '%basically%' or {{ qualifier }} like '%about%', false))
{%- endmacro %}

{% macro unassessable_reason(value, publish_status, rule, is_met, is_final, is_approximate) -%}
    case
        when {{ value }} is null then '无数据'
        when {{ publish_status }} = 'partial' then '覆盖不全'
        when {{ rule }} = 'no_number' then '目标只有方向，没有数字'
        when {{ is_met }} then cast(null as varchar)
        when {{ is_approximate }} and ({{ is_final }} or {{ rule }} <> 'pace') then '目标为约数或“基本”，未约定容差'
        when {{ rule }} = 'no_baseline' and not {{ is_final }} then '无可比基数，无法计算进度'
    end
{%- endmacro %}

{% macro progress_status(reason, rule, is_met, is_held, is_final, band) -%}
    case
        when {{ reason }} is not null then 'cannot_assess'
        when {{ is_final }} and {{ is_met }} then 'achieved'
        when {{ is_final }} then 'behind'
        when {{ rule }} in ('maintain', 'floor') and {{ is_held }} then 'held'
        when {{ rule }} in ('maintain', 'floor') then 'lost'
        when {{ is_met }} then 'achieved'
        else {{ band }}
    end
{%- endmacro %}

{% macro progress_note(judged) -%}
    nullif(
        concat_ws(
            '；',
            {{ judged }}.reason,
            case when {{ judged }}.reason = '覆盖不全' then {{ judged }}.fact_note end,
            case
                when {{ judged }}.operator = '>' and {{ judged }}.value = {{ judged }}.target
                    then '与目标持平，未严格超过'
            end,
            case
                when {{ judged }}.measure_type = 'stock' and {{ judged }}.status in ('worsening', 'behind')
                    then '规模类指标受学龄人口变动影响，须结合人口解读'
            end,
            case when {{ judged }}.forecast is not null then '预测值为自基年起的线性外推，不是统计数' end
        ),
        ''
    )
{%- endmacro %}
