{# Counting rules of the teacher register. #}

{% macro register_stage(teaching_stage) -%}
    case when {{ teaching_stage }} = 'vocational' then 'senior_vocational' else {{ teaching_stage }} end
{%- endmacro %}

{% macro post_rank(post_kind) -%}
    case {{ post_kind }} when 'established' then 1 else 2 end
{%- endmacro %}

{% macro is_bachelor_or_above(education) -%}
    coalesce({{ education }} in ('doctor', 'master', 'bachelor'), false)
{%- endmacro %}

{% macro education_rank(education) -%}
    case {{ education }}
        when 'doctor' then 6
        when 'master' then 5
        when 'bachelor' then 4
        when 'college' then 3
        when 'secondary' then 2
        when 'below' then 1
    end
{%- endmacro %}

{% macro education_at_least(education, lowest) -%}
    coalesce({{ education_rank(education) }} >= {{ education_rank(lowest) }}, false)
{%- endmacro %}

{% macro certificate_rank(stage) -%}
    case {{ stage }}
        when 'preschool' then 1
        when 'primary' then 2
        when 'junior' then 3
        when 'senior_general' then 4
        when 'vocational' then 4
        when 'senior_vocational' then 4
        when 'higher' then 5
    end
{%- endmacro %}

{% macro certificate_covers(certificate_stage, stage) -%}
    case
        when {{ stage }} = 'special' then {{ certificate_stage }} is not null
        else coalesce({{ certificate_rank(certificate_stage) }} >= {{ certificate_rank(stage) }}, false)
    end
{%- endmacro %}

{% macro is_senior_title(title) -%}
    coalesce({{ title }} in ('senior_full', 'senior_associate'), false)
{%- endmacro %}

{% macro is_middle_or_senior_title(title) -%}
    coalesce({{ title }} in ('senior_full', 'senior_associate', 'intermediate'), false)
{%- endmacro %}

{% macro is_district_backbone(backbone_level) -%}
    coalesce({{ backbone_level }} in ('national', 'municipal', 'district'), false)
{%- endmacro %}

{% macro is_city_backbone(backbone_level) -%}
    coalesce({{ backbone_level }} in ('national', 'municipal'), false)
{%- endmacro %}

{% macro is_dual_qualified_professional(dual_qualified, professional_course) -%}
    coalesce({{ dual_qualified }} and {{ professional_course }}, false)
{%- endmacro %}

{# The city's indicators of vocational teachers: (indicator, role, which main posts count). #}
{% macro vocational_post_rules() -%}
    {{ return([
        ('vet_dual_share_professional', 'numerator',
            is_dual_qualified_professional('dual_qualified', 'professional_course')),
        ('vet_dual_share_professional', 'denominator', 'coalesce(professional_course, false)'),
        ('vet_dual_share_fulltime', 'numerator', 'coalesce(dual_qualified, false)'),
        ('vet_dual_share_fulltime', 'denominator', 'true'),
    ]) }}
{%- endmacro %}
