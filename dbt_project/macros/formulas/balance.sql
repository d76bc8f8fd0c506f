{#- Balance of compulsory education in a county. Amounts are exact decimals, so no sum depends on the order of its rows. -#}

{% macro amount_of_stage(name) -%}
    cast(
        case when schools.stage = 'primary' then resources.{{ name }}_primary else resources.{{ name }}_junior end
        as decimal(34, 14)
    )
{%- endmacro %}

{% macro share_of_school(amount, stage_pupils, school_pupils) -%}
    case
        when {{ stage_pupils }} = {{ school_pupils }} then cast({{ amount }} as decimal(34, 14))
        else cast(
            cast({{ amount }} as double) * cast({{ stage_pupils }} as double)
            / nullif(cast({{ school_pupils }} as double), 0) as decimal(34, 14)
        )
    end
{%- endmacro %}

{% macro reaches(amount, pupils, per_pupils, line) -%}
    {{ amount }} * {{ per_pupils }} >= {{ line }} * {{ pupils }}
{%- endmacro %}

{% macro relative_deviation(amount, pupils, total_amount, total_pupils) -%}
    ({{ ratio(amount, pupils) }}) / nullif({{ ratio(total_amount, total_pupils) }}, 0) - 1
{%- endmacro %}

{% macro weighted_square(pupils, deviation) -%}
    cast(cast({{ pupils }} as double) * {{ deviation }} * {{ deviation }} as decimal(38, 20))
{%- endmacro %}

{% macro weighted_cv(sum_of_weighted_squares, total_pupils) -%}
    {{ finite_or_null(
        'sqrt(cast(' ~ sum_of_weighted_squares ~ ' as double) / nullif(cast(' ~ total_pupils ~ ' as double), 0))'
    ) }}
{%- endmacro %}

{% macro balance_exclusion(pupils, is_in_scope, is_teaching_point, has_resources) -%}
    case
        when {{ pupils }} is null then '没有在校生数，不计入'
        when {{ pupils }} = 0 then '在校生数为零，不计入'
        when not {{ is_in_scope }} then '附设班或其他类型学校，不在评估范围'
        when {{ is_teaching_point }} and {{ pupils }} < 50 then '教学点学生不足50人，不在评估范围'
        when {{ is_teaching_point }} and not {{ has_resources }} then '教学点未单独填报办学条件（随中心校填报），不计入'
    end
{%- endmacro %}

{% macro school_balance_verdict(items, items_assessed, items_met, items_at_floor) -%}
    case
        when {{ items_assessed }} - {{ items_met }} > 1 or {{ items_assessed }} > {{ items_at_floor }} then 'not_met'
        when {{ items_assessed }} < {{ items }} then 'cannot_assess'
        else 'met'
    end
{%- endmacro %}

{% macro verdict_of_all(parts, parts_met, parts_not_met) -%}
    case
        when {{ parts_not_met }} > 0 then 'not_met'
        when {{ parts }} = 0 or {{ parts_met }} < {{ parts }} then 'cannot_assess'
        else 'met'
    end
{%- endmacro %}

{% macro verdict_zh(verdict) -%}
    case {{ verdict }}
        when 'met' then '达标'
        when 'not_met' then '未达标'
        when 'cannot_assess' then '无法评估'
        when 'excluded' then '不计入'
    end
{%- endmacro %}
