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
        when {{ operator }} = 'about' and {{ direction }} <> 'down'
            then {{ value }} >= {{ target }} * (1 - {{ var('about_tolerance_percent') }} / 100.0)
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

{% macro target_type(judged) -%}
    case
        when {{ judged }}.operator in ('trend_up', 'trend_down') then 'trend'
        when {{ judged }}.target is null then 'state'
        when {{ judged }}.judged_as in ('maintain', 'floor') then {{ judged }}.judged_as
        when {{ judged }}.operator = 'range' then 'range'
        when {{ judged }}.is_approximate then 'about'
        when {{ judged }}.operator = 'coverage_all' then 'coverage'
        when {{ judged }}.counted_of = 'districts' then 'share_of_units'
        when {{ judged }}.is_cumulative then 'cumulative'
        when {{ judged }}.operator in ('>', '<') then 'strict'
        else 'reach'
    end
{%- endmacro %}

{% macro target_type_zh(target_type) -%}
    case {{ target_type }}
        when 'trend' then '方向'
        when 'state' then '状态'
        when 'maintain' then '保持'
        when 'floor' then '下限（起点已达到）'
        when 'range' then '区间'
        when 'about' then '约数'
        when 'coverage' then '全覆盖'
        when 'share_of_units' then '区县占比'
        when 'cumulative' then '累计新增'
        when 'strict' then '严格大于'
        when 'reach' then '达到'
    end
{%- endmacro %}

{% macro trend_met(value, start_value, operator) -%}
    case
        when {{ operator }} = 'trend_down' then {{ value }} < {{ start_value }} or ({{ value }} = 0 and {{ start_value }} = 0)
        else {{ value }} > {{ start_value }}
    end
{%- endmacro %}

{% macro trend_lost(value, start_value, operator) -%}
    case when {{ operator }} = 'trend_down' then {{ value }} > {{ start_value }} else {{ value }} < {{ start_value }} end
{%- endmacro %}

{% macro compound_growth(from_value, to_value, years) -%}
    case
        when {{ from_value }} > 0 and {{ to_value }} >= 0
            then power({{ to_value }} / nullif({{ from_value }}, 0), 1.0 / nullif({{ years }}, 0)) - 1
    end
{%- endmacro %}

{% macro open_sdg_reading(ratio, is_met) -%}
    case
        when {{ ratio }} is null then cast(null as varchar)
        when {{ is_met }} then 'achieved'
        when {{ ratio }} >= 0.95 then 'on_track'
        when {{ ratio }} >= 0.6 then 'progress'
        when {{ ratio }} >= 0 then 'limited'
        else 'deterioration'
    end
{%- endmacro %}

{% macro forecast_in_series(start_value, start_year, value, year, final_year) -%}
    {{ value }} + ({{ value }} - {{ start_value }}) / nullif(cast({{ year }} - {{ start_year }} as double), 0)
    * ({{ final_year }} - {{ year }})
{%- endmacro %}

{% macro unassessable_reason(judged) -%}
    case
        when {{ judged }}.value is null and not {{ judged }}.is_due then 'not_yet_due'
        when {{ judged }}.value is null then 'no_data'
        when {{ judged }}.publish_status = 'partial' then 'incomplete'
        when {{ judged }}.break_zh is not null then 'definition_changed'
        when {{ judged }}.target_type = 'state' then 'no_number'
        when {{ judged }}.target_type = 'trend' and {{ judged }}.compared_with is null then 'no_baseline'
        when {{ judged }}.is_met then cast(null as varchar)
        when {{ judged }}.measure_type = 'event' and not {{ judged }}.is_final then 'not_yet_due'
        when {{ judged }}.is_approximate and ({{ judged }}.is_final or {{ judged }}.judged_as <> 'pace')
            then 'no_tolerance'
        when {{ judged }}.target_type <> 'trend' and {{ judged }}.judged_as = 'no_baseline' and not {{ judged }}.is_final
            then 'no_baseline'
    end
{%- endmacro %}

{% macro unassessable_reason_zh(judged) -%}
    case {{ judged }}.reason
        when 'not_yet_due'
            then case when {{ judged }}.value is null then '该年数据尚未到期' else '评定事项，终期前未评出不作结论' end
        when 'no_data' then '无数据'
        when 'incomplete' then concat('覆盖不全', case when {{ judged }}.fact_note <> '' then '；' else '' end, {{ judged }}.fact_note)
        when 'definition_changed' then concat('口径变动：', {{ judged }}.break_zh)
        when 'no_number' then '目标只有状态，没有数字'
        when 'no_baseline'
            then case
                when {{ judged }}.baseline_text <> '' then concat('规划基数为“', {{ judged }}.baseline_text, '”，无法计算进度')
                else '无可比基数，无法计算进度'
            end
        when 'no_tolerance' then '目标为约数或“基本”，未约定容差'
    end
{%- endmacro %}

{% macro progress_status(judged, band) -%}
    case
        when {{ judged }}.reason is not null then 'cannot_assess'
        when {{ judged }}.is_final and {{ judged }}.is_met then 'achieved'
        when {{ judged }}.is_final then 'behind'
        when {{ judged }}.judged_as in ('maintain', 'floor') and {{ judged }}.is_held then 'held'
        when {{ judged }}.judged_as in ('maintain', 'floor') then 'lost'
        when {{ judged }}.target_type = 'trend' and {{ judged }}.is_met then 'on_pace'
        when {{ judged }}.target_type = 'trend' and {{ judged }}.is_lost then 'worsening'
        when {{ judged }}.target_type = 'trend' then 'behind'
        when {{ judged }}.is_met then 'achieved'
        else {{ band }}
    end
{%- endmacro %}

{% macro progress_note(judged) -%}
    nullif(
        concat_ws(
            '；',
            {{ unassessable_reason_zh(judged) }},
            case
                when {{ judged }}.method = 'register' and {{ judged }}.reason is distinct from 'incomplete'
                    then {{ judged }}.fact_note
            end,
            case
                when {{ judged }}.operator = '>' and {{ judged }}.value = {{ judged }}.target
                    then '与目标持平，未严格超过'
            end,
            case
                when {{ judged }}.operator = 'range' and {{ judged }}.value >= {{ judged }}.target_high
                    then '已达到区间上限'
            end,
            case
                when
                    {{ judged }}.target_type = 'trend'
                    and {{ judged }}.reason is null
                    and not {{ judged }}.is_met
                    and not {{ judged }}.is_lost
                    then '与起点持平'
            end,
            case
                when {{ judged }}.measure_type = 'stock' and {{ judged }}.status in ('worsening', 'behind')
                    and {{ judged }}.method <> 'register'
                    then '规模类指标受学龄人口变动影响，须结合人口解读'
            end,
            case {{ judged }}.baseline_source
                when 'data' then '规划未印基数，取基年数据为起点'
                when 'zero' then '累计新增以0为起点'
            end,
            {{ judged }}.series_note,
            case
                when {{ judged }}.forecast_method = 'linear_from_baseline' then '预测值为自基年起的线性外推，不是统计数'
                when {{ judged }}.forecast_method = 'linear_in_series'
                    then concat(
                        '预测值为自', cast({{ judged }}.start_year as varchar), '年起同口径数列的线性外推，不是统计数'
                    )
            end
        ),
        ''
    )
{%- endmacro %}

{% macro series_break_text(value) -%}
    case
        when {{ value }}.previous_period is null and {{ value }}.last_break_year = {{ value }}.period
            then concat('数列自本年开始：', {{ value }}.breaks_zh)
        when {{ value }}.previous_segment <> {{ value }}.series_segment
            then concat(
                '与', cast({{ value }}.previous_period as varchar), '年之间数列中断：',
                case
                    when length({{ value }}.series_segment) > length({{ value }}.previous_segment) then {{ value }}.breaks_zh
                    else {{ value }}.previous_breaks_zh
                end
            )
    end
{%- endmacro %}
