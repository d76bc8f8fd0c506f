{#- Indicators that only the city as a whole has: no district owns universities, attainment or a cohort that moves. -#}
{#- indicator, numerator, denominator, materials it needs -#}
{%- set indicators = [
    ('he_total_scale', 'higher.enrolled', none, ['higher_education.enrolment']),
    ('he_postgraduate', 'higher.postgraduates', none, ['higher_education.enrolment']),
    ('he_undergraduate', 'higher.undergraduates', none, ['higher_education.enrolment']),
    ('he_graduates', 'higher.graduates', none, ['higher_education.enrolment']),
    ('he_stem_share', 'higher.stem_undergraduates', 'higher.undergraduates', ['higher_education.enrolment']),
    ('he_senior_title_share', 'higher.senior_title_teachers', 'higher.full_time_teachers', ['higher_education.staff']),
    ('college_dual_share_professional', 'higher.vocational_dual_qualified', 'higher.vocational_professional_teachers',
        ['higher_education.staff']),
    ('college_dual_share_fulltime', 'higher.vocational_dual_qualified', 'higher.vocational_full_time_teachers',
        ['higher_education.staff']),
    ('vet_dual_share_professional', 'schools.dual_qualified_professionals + higher.vocational_dual_qualified',
        'schools.professional_teachers + higher.vocational_professional_teachers',
        ['higher_education.staff', 'teacher_register']),
    ('vet_dual_share_fulltime', 'schools.dual_qualified_teachers + higher.vocational_dual_qualified',
        'schools.fulltime_teachers + higher.vocational_full_time_teachers',
        ['higher_education.staff', 'teacher_register']),
    ('avg_years_schooling', 'attained.years_15', 'attained.people_15', ['population.attainment']),
    ('avg_years_schooling_working_age', 'attained.years_16_59', 'attained.people_16_59', ['population.attainment']),
    ('compulsory_retention', 'cohort.final_year_pupils', 'cohort.first_year_pupils', ['school_census.cohort']),
] -%}
with periods as (
    select distinct period from {{ ref('int_city_material') }}
),

attained as (
    select
        people.stat_year as period,
        sum(people.residents * people.schooling_years)
        filter (where {{ is_attainment_group('people', 15, 'null') }}) as years_15,
        sum(people.residents) filter (where {{ is_attainment_group('people', 15, 'null') }}) as people_15,
        sum(people.residents * people.schooling_years)
        filter (where {{ is_attainment_group('people', 16, 59) }}) as years_16_59,
        sum(people.residents) filter (where {{ is_attainment_group('people', 16, 59) }}) as people_16_59
    from {{ ref('stg_population_attainment') }} as people
    inner join {{ ref('stg_area') }} as areas
        on people.area_code = areas.area_code
    where areas.area_level = 'city'
    group by people.stat_year
),

schools as (
    select
        period,
        sum(fulltime_teachers) as fulltime_teachers,
        sum(professional_teachers) as professional_teachers,
        sum(dual_qualified_teachers) as dual_qualified_teachers,
        sum(dual_qualified_professionals) as dual_qualified_professionals
    from {{ ref('int_teacher_quality') }}
    where stage = 'senior_vocational'
    group by period
),

cohort as (
    select
        finishing.period,
        sum(finishing.expected_graduates) as final_year_pupils,
        sum(starting.entrants) as first_year_pupils
    from {{ ref('int_stage_area_year') }} as finishing
    inner join {{ ref('int_stage_area_year') }} as starting
        on
            finishing.period - {{ cohort_years() }} = starting.period
            and finishing.area_code = starting.area_code
    where
        finishing.stage = 'junior'
        and starting.stage = 'primary'
        and finishing.school_count is not null
        and starting.school_count is not null
    group by finishing.period
),

cities as (
    select area_code from {{ ref('stg_area') }}
    where area_level = 'city'
),

facts as (
    select
        {%- for indicator, numerator, denominator, _ in indicators %}
        cast({{ numerator }} as decimal(30, 10)) as {{ indicator }}_numerator,
        cast({{ denominator if denominator else 'null' }} as decimal(30, 10)) as {{ indicator }}_denominator,
        {%- endfor %}
        periods.period
    from periods
    left join {{ ref('int_higher_year') }} as higher
        on periods.period = higher.period
    left join attained
        on periods.period = attained.period
    left join schools
        on periods.period = schools.period
    left join cohort
        on periods.period = cohort.period
),

measured as (
    {%- for indicator, _, _, materials in indicators %}
    select
        '{{ indicator }}' as indicator_id,
        period,
        {{ indicator }}_numerator as numerator,
        {{ indicator }}_denominator as denominator,
        '{{ materials | join("|") }}' as materials
    from facts
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    measured.indicator_id,
    measured.period,
    cities.area_code,
    measured.numerator,
    measured.denominator,
    sum(materials.expected_units) as expected_units,
    sum(materials.reported_units) as reported_units,
    sum(materials.incomplete_units) as incomplete_units,
    sum(materials.preliminary_units) as preliminary_units,
    sum(materials.rows_quarantined) as rows_quarantined,
    max(materials.as_of) as as_of,
    {{ join_texts('materials.missing_zh', '、', 'materials.material', 'materials.missing_zh is not null') }}
        as missing_zh
from measured
cross join cities
inner join {{ ref('int_city_material') }} as materials
    on
        measured.period = materials.period
        and concat('|', measured.materials, '|') like concat('%|', materials.material, '|%')
where measured.numerator is not null
group by measured.indicator_id, measured.period, cities.area_code, measured.numerator, measured.denominator
