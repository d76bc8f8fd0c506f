{%- set counts = [
    'fulltime_teachers', 'contract_teachers', 'bachelor_teachers', 'master_teachers', 'education_unknown',
    'qualified_teachers', 'above_required_teachers', 'senior_title_teachers', 'mid_senior_title_teachers',
    'backbone_teachers', 'certified_teachers', 'professional_teachers', 'dual_qualified_teachers',
    'dual_qualified_professionals', 'age_le29', 'age_30_39', 'age_40_49', 'age_50_59', 'age_ge60', 'age_unknown',
] -%}
{#- share, numerator, denominator -#}
{%- set shares = [
    ('contract_share', 'contract_teachers', 'fulltime_teachers'),
    ('bachelor_share', 'bachelor_teachers', 'fulltime_teachers'),
    ('master_share', 'master_teachers', 'fulltime_teachers'),
    ('qualified_share', 'qualified_teachers', 'fulltime_teachers'),
    ('above_required_share', 'above_required_teachers', 'fulltime_teachers'),
    ('senior_title_share', 'senior_title_teachers', 'fulltime_teachers'),
    ('mid_senior_title_share', 'mid_senior_title_teachers', 'fulltime_teachers'),
    ('backbone_share', 'backbone_teachers', 'fulltime_teachers'),
    ('certified_share', 'certified_teachers', 'fulltime_teachers'),
    ('dual_qualified_share_professional', 'dual_qualified_professionals', 'professional_teachers'),
    ('dual_qualified_share_fulltime', 'dual_qualified_teachers', 'fulltime_teachers'),
] -%}
with totals as (
    select
        members.area_code,
        members.area_level,
        parts.period,
        {%- for name in counts %}
        cast(sum(parts.{{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        parts.stage
    from {{ ref('int_teacher_quality') }} as parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    group by members.area_code, members.area_level, parts.period, parts.stage
)

select
    totals.area_code,
    totals.area_level,
    totals.period,
    totals.stage,
    {%- for name in counts %}
    totals.{{ name }},
    {%- endfor %}
    {%- for share, numerator, denominator in shares %}
    {{ ratio_percent('totals.' ~ numerator, 'totals.' ~ denominator) }} as {{ share }},
    {%- endfor %}
    {{ publish_status('coverage.reported_units', 'coverage.expected_units', 'coverage.incomplete_units') }}
        as publish_status,
    cast(coverage.reported_units as integer) as reported_units,
    cast(coverage.expected_units as integer) as expected_units,
    {{ coverage_note('coverage') }} as note,
    {{ suppressed_cells() }} as suppressed
from totals
inner join {{ ref('int_indicator_coverage') }} as coverage
    on
        totals.area_code = coverage.area_code
        and totals.period = coverage.period
        and coverage.feeds = 'teacher_register'
        and coverage.subgroup_zh = ''
