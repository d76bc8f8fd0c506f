{# Counting rules of the school census. #}

{% macro counting_stage(stages) -%}
    case
        when {{ stages }} like '%senior_vocational' then 'senior_vocational'
        when {{ stages }} like '%senior_general' then 'senior_general'
        when {{ stages }} like '%junior' then 'junior'
        when {{ stages }} like '%primary' then 'primary'
        when {{ stages }} like '%preschool' then 'preschool'
        when {{ stages }} like '%special' then 'special'
    end
{%- endmacro %}

{% macro is_inclusive(is_public, inclusive_private) -%}
    ({{ is_public }} or coalesce({{ inclusive_private }}, false))
{%- endmacro %}

{% macro form_stage(form) -%}
    case
        when {{ form }} in ('2105', '3111') then 'preschool'
        when {{ form }} in ('2106', '3112') then 'primary'
        when {{ form }} in ('2107', '3115') then 'junior'
        when {{ form }} in ('2108', '3118') then 'senior_general'
        when {{ form }} = '3221' then 'senior_vocational'
        when {{ form }} = '3120' then 'special'
    end
{%- endmacro %}

{% macro has_class_form(stage) -%}
    {{ stage }} in ('preschool', 'primary', 'junior', 'senior_general')
{%- endmacro %}

{% macro has_class_sizes(stage) -%}
    {{ stage }} in ('primary', 'junior', 'senior_general')
{%- endmacro %}

{% macro class_le45(row) -%}
    {{ row }}.band_le25 + {{ row }}.band_26_30 + {{ row }}.band_31_35 + {{ row }}.band_36_40 + {{ row }}.band_41_45
{%- endmacro %}

{% macro class_46_55(row) -%}
    {{ row }}.band_46_50 + {{ row }}.band_51_55
{%- endmacro %}

{% macro class_56_65(row) -%}
    {{ row }}.band_56_60 + {{ row }}.band_61_65
{%- endmacro %}

{% macro large_classes(class_56_65, class_ge66) -%}
    {{ class_56_65 }} + {{ class_ge66 }}
{%- endmacro %}

{% macro large_class_share(large_classes, class_total) -%}
    {{ ratio_percent(large_classes, class_total) }}
{%- endmacro %}

{% macro school_year_label(stat_year) -%}
    concat(cast({{ stat_year }} as varchar), '/', cast({{ stat_year }} + 1 as varchar), '学年初')
{%- endmacro %}

{% macro year_end_label(stat_year) -%}
    concat(cast({{ stat_year }} as varchar), '年末')
{%- endmacro %}

{% macro fiscal_year_label(fiscal_year) -%}
    concat(cast({{ fiscal_year }} as varchar), '财政年度')
{%- endmacro %}

{% macro census_day(period) -%}
    make_date({{ period }}, 9, 1)
{%- endmacro %}

{% macro is_compulsory_school(counts_as_school, stages) -%}
    ({{ counts_as_school }} and coalesce({{ stages }} like '%primary%' or {{ stages }} like '%junior%', false))
{%- endmacro %}

{% macro is_grade2_or_above(kindergarten_grade) -%}
    coalesce({{ kindergarten_grade }} in ('model', 'grade1', 'grade2'), false)
{%- endmacro %}

{% macro is_grade1_or_above(kindergarten_grade) -%}
    coalesce({{ kindergarten_grade }} in ('model', 'grade1'), false)
{%- endmacro %}

{% macro is_general_school(counts_as_school, stages) -%}
    (
        {{ counts_as_school }}
        and coalesce(
            {{ stages }} like '%primary%' or {{ stages }} like '%junior%' or {{ stages }} like '%senior_general%', false
        )
    )
{%- endmacro %}

{% macro is_oversize_senior_school(senior_pupils) -%}
    coalesce({{ senior_pupils }} > 3000, false)
{%- endmacro %}

{% macro is_urban(urban_rural_code) -%}
    coalesce(left({{ urban_rural_code }}, 2) in ('11', '12'), false)
{%- endmacro %}

{% macro is_oversize_school(compulsory_pupils, stages) -%}
    coalesce({{ compulsory_pupils }} > case when {{ stages }} like '%|%' then 2500 else 2000 end, false)
{%- endmacro %}

{% macro standard_classes(stage, class_le45, class_46_50) -%}
    case when {{ stage }} = 'junior' then {{ class_le45 }} + {{ class_46_50 }} else {{ class_le45 }} end
{%- endmacro %}
