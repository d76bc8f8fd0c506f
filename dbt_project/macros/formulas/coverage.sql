{# How complete a figure is, and how that is said. #}

{% macro publish_status(reported_units, expected_units, incomplete_units) -%}
    case when {{ reported_units }} < {{ expected_units }} or {{ incomplete_units }} > 0 then 'partial' else 'final' end
{%- endmacro %}

{% macro count_text(before, count, after) -%}
    concat('{{ before }}', cast({{ count }} as varchar), '{{ after }}')
{%- endmacro %}

{% macro coverage_note(coverage) -%}
    {%- set missing = coverage ~ '.expected_units - ' ~ coverage ~ '.reported_units' -%}
    nullif(
        concat_ws(
            '；',
            case when {{ missing }} > 0 then {{ count_text('缺报', missing, '个地区') }} end
            || concat('：', {{ coverage }}.missing_zh, case when {{ missing }} > 5 then '等' else '' end),
            case when {{ coverage }}.incomplete_units > 0 then '部分材料未报' end
            || concat('：', {{ coverage }}.incomplete_zh, case when {{ coverage }}.incomplete_units > 5 then '等' else '' end),
            case
                when {{ coverage }}.rows_quarantined > 0
                    then {{ count_text('有', coverage ~ '.rows_quarantined', '行被隔离，未计入') }}
            end
        ),
        ''
    )
{%- endmacro %}

{% macro coverage_status(delivery_status) -%}
    case {{ delivery_status }}
        when 'accepted' then 'received'
        when 'partly' then 'partly'
        when 'refused' then 'refused'
        else 'missing'
    end
{%- endmacro %}


{% macro coverage_remark(expected, status, rows_quarantined, withdrawn) -%}
    nullif(
        concat_ws(
            '；',
            case when not {{ expected }} then '不在应报范围内（地区、年份或材料），不计入按地区的汇总' end,
            case when {{ status }} = 'missing' and not {{ withdrawn }} then '应报未报' end,
            case when {{ withdrawn }} then '收到后已撤回，未计入' end,
            case when {{ status }} = 'refused' then '整份退回，未计入' end,
            case when {{ rows_quarantined }} > 0 then {{ count_text('有', rows_quarantined, '行被隔离，未计入') }} end
        ),
        ''
    )
{%- endmacro %}
