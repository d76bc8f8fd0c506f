{#- Heads of statements that the counts and the evidence behind them share, so that both look at the same rows. -#}

{% macro classed_schools() -%}
    select
        schools.*,
        {{ is_compulsory_school('schools.counts_as_school', 'schools.stages') }} as is_compulsory,
        {{ is_oversize_school('pupils.compulsory_pupils', 'schools.stages') }} as is_oversize,
        {{ is_general_school('schools.counts_as_school', 'schools.stages') }} as is_general_school,
        {{ is_oversize_senior_school('pupils.senior_pupils') }} as is_oversize_senior,
        {{ is_grade2_or_above('schools.kindergarten_grade') }} as is_grade2_plus,
        {{ is_grade1_or_above('schools.kindergarten_grade') }} as is_grade1_plus
    from {{ ref('int_school_year') }} as schools
    left join (
        select
            period,
            school_code,
            sum(enrolment) filter (where stage in ('primary', 'junior')) as compulsory_pupils,
            sum(enrolment) filter (where stage = 'senior_general') as senior_pupils
        from {{ ref('int_school_stage_year') }}
        group by period, school_code
    ) as pupils
        on
            schools.period = pupils.period
            and schools.school_code = pupils.school_code
{%- endmacro %}

{#- Figures of the census, each once. -#}
{% macro figures_once() -%}
    select figures.*
    from {{ ref('stg_census_figure') }} as figures
    {{ highest_reported() }}
{%- endmacro %}

{% macro highest_reported() -%}
    -- A figure reported twice counts once, with its higher value.
    qualify row_number() over (
        partition by figures.delivery_id, figures.stat_year, figures.school_code, figures.stage, figures.measure
        order by figures.value desc, figures.member asc, figures.sheet asc, figures.row_no asc, figures.source_cell asc
    ) = 1
{%- endmacro %}
