{#- indicator, role, stages, whose figures, measures. Bands count only where the school filled in the class form. -#}
{%- set up_to_45 = ['band_le25', 'band_26_30', 'band_31_35', 'band_36_40', 'band_41_45'] -%}
{%- set from_56 = ['band_56_60', 'band_61_65', 'band_ge66'] -%}
{%- set pupils = ['enrolment'] -%}
{%- set classes = ['class_total'] -%}
{%- set counted = [
    ('pre_enrolment', 'numerator', ['preschool'], 'all', pupils),
    ('pre_public_share', 'numerator', ['preschool'], 'public', pupils),
    ('pre_public_share', 'denominator', ['preschool'], 'all', pupils),
    ('pre_inclusive_coverage', 'numerator', ['preschool'], 'inclusive', pupils),
    ('pre_inclusive_coverage', 'denominator', ['preschool'], 'all', pupils),
    ('compulsory_enrolment', 'numerator', ['primary', 'junior'], 'all', pupils),
    ('primary_enrolment', 'numerator', ['primary'], 'all', pupils),
    ('junior_enrolment', 'numerator', ['junior'], 'all', pupils),
    ('senior_enrolment', 'numerator', ['senior_general', 'senior_vocational'], 'all', pupils),
    ('senior_general_enrolment', 'numerator', ['senior_general'], 'all', pupils),
    ('senior_vocational_enrolment', 'numerator', ['senior_vocational'], 'all', pupils),
    ('primary_large_class_share', 'numerator', ['primary'], 'all', from_56),
    ('primary_large_class_share', 'denominator', ['primary'], 'all', classes),
    ('junior_large_class_share', 'numerator', ['junior'], 'all', from_56),
    ('junior_large_class_share', 'denominator', ['junior'], 'all', classes),
    ('senior_large_class_share', 'numerator', ['senior_general'], 'all', from_56),
    ('senior_large_class_share', 'denominator', ['senior_general'], 'all', classes),
    ('compulsory_standard_class_share', 'numerator', ['primary'], 'all', up_to_45),
    ('compulsory_standard_class_share', 'numerator', ['junior'], 'all', up_to_45 + ['band_46_50']),
    ('compulsory_standard_class_share', 'denominator', ['primary', 'junior'], 'all', classes),
    ('vocational_general_ratio', 'numerator', ['senior_vocational'], 'all', pupils),
    ('vocational_general_ratio', 'denominator', ['senior_general'], 'all', pupils),
    ('primary_pupil_teacher_ratio', 'numerator', ['primary'], 'all', pupils),
    ('junior_pupil_teacher_ratio', 'numerator', ['junior'], 'all', pupils),
    ('senior_pupil_teacher_ratio', 'numerator', ['senior_general'], 'all', pupils),
    ('pre_pupil_teacher_ratio', 'numerator', ['preschool'], 'all', pupils),
    ('pre_public_enrolment', 'numerator', ['preschool'], 'public', pupils),
    ('urban_compulsory_enrolment', 'numerator', ['primary', 'junior'], 'urban', pupils),
    ('compulsory_large_class_share', 'numerator', ['primary', 'junior'], 'all', from_56),
    ('compulsory_large_class_share', 'denominator', ['primary', 'junior'], 'all', classes),
    ('compulsory_super_class_share', 'numerator', ['primary', 'junior'], 'all', ['band_ge66']),
    ('compulsory_super_class_share', 'denominator', ['primary', 'junior'], 'all', classes),
    ('pre_gross_enrolment', 'numerator', ['preschool'], 'all', pupils),
    ('compulsory_gross_enrolment', 'numerator', ['primary', 'junior'], 'all', pupils),
    ('senior_gross_enrolment', 'numerator', ['senior_general', 'senior_vocational'], 'all', pupils),
] -%}
with counted as (
    {%- for indicator, role, stages, whose, measures in counted %}
    {%- set last_rule = loop.last %}
    {%- for stage in stages %}
    {%- set last_stage = loop.last %}
    {%- for measure in measures %}
    select
        '{{ indicator }}' as indicator_id,
        '{{ role }}' as role,
        '{{ stage }}' as stage,
        '{{ whose }}' as whose,
        '{{ measure }}' as measure
    {%- if not (last_rule and last_stage and loop.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
),

figures_alone as (
    {{ figures_once() }}
),

figures as (
    select
        *,
        max(case when measure = 'class_total' then value end) over (
            partition by delivery_id, stat_year, school_code, stage
        ) is not null as has_class_form
    from figures_alone
)

select
    counted.indicator_id,
    schools.period,
    schools.area_code,
    counted.role,
    cast(figures.value as decimal(30, 10)) as amount,
    1 as divisor,
    figures.delivery_id,
    figures.member,
    figures.sheet,
    figures.row_no,
    figures.source_cell
from figures
inner join {{ ref('int_school_year') }} as schools
    on
        figures.delivery_id = schools.delivery_id
        and figures.stat_year = schools.period
        and figures.school_code = schools.school_code
inner join counted
    on
        figures.stage = counted.stage
        and figures.measure = counted.measure
where
    figures.value <> 0
    and (figures.has_class_form or figures.measure not like 'band%')
    and (
        counted.whose = 'all'
        or (counted.whose = 'public' and schools.is_public)
        or (counted.whose = 'urban' and {{ is_urban('schools.urban_rural_code') }})
        or (
            counted.whose = 'inclusive'
            and {{ is_inclusive('schools.is_public', 'schools.is_inclusive_private') }}
        )
    )
