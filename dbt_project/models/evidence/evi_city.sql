{#- Rows behind the indicators that only the city as a whole has; each counts for the city itself. -#}
{#- source, indicator, role, amount, which of its rows count -#}
{%- set undergraduate = "scale_group = 'undergraduate'" -%}
{%- set stem = undergraduate ~ " and " ~ is_stem_field('field') -%}
{%- set college = is_vocational_institution('institution_kind') -%}
{%- set counted = [
    ('higher_enrolment', 'he_total_scale', 'numerator', 'enrolled', 'true'),
    ('higher_enrolment', 'he_postgraduate', 'numerator', 'enrolled', "scale_group = 'postgraduate'"),
    ('higher_enrolment', 'he_undergraduate', 'numerator', 'enrolled', undergraduate),
    ('higher_enrolment', 'he_graduates', 'numerator', 'graduates', 'true'),
    ('higher_enrolment', 'he_stem_share', 'numerator', 'enrolled', stem),
    ('higher_enrolment', 'he_stem_share', 'denominator', 'enrolled', undergraduate),
    ('higher_staff', 'he_senior_title_share', 'numerator', 'full_time_teachers', is_senior_title('title')),
    ('higher_staff', 'he_senior_title_share', 'denominator', 'full_time_teachers', 'true'),
    ('higher_staff', 'college_dual_share_professional', 'numerator', 'dual_qualified', college),
    ('higher_staff', 'college_dual_share_professional', 'denominator', 'professional_teachers', college),
    ('higher_staff', 'vet_dual_share_professional', 'numerator', 'dual_qualified', college),
    ('higher_staff', 'vet_dual_share_professional', 'denominator', 'professional_teachers', college),
    ('higher_staff', 'college_dual_share_fulltime', 'numerator', 'dual_qualified', college),
    ('higher_staff', 'college_dual_share_fulltime', 'denominator', 'full_time_teachers', college),
    ('higher_staff', 'vet_dual_share_fulltime', 'numerator', 'dual_qualified', college),
    ('higher_staff', 'vet_dual_share_fulltime', 'denominator', 'full_time_teachers', college),
] -%}
{%- set people = [('avg_years_schooling', 15, 'null'), ('avg_years_schooling_working_age', 16, 59)] -%}
{%- set sides = [('numerator', 'people.residents * people.schooling_years'), ('denominator', 'people.residents')] -%}
{%- set cohort = [
    ('numerator', 'junior', 'expected_graduates', '+ 0', 'primary', '- ' ~ cohort_years()),
    ('denominator', 'primary', 'entrants', '+ ' ~ cohort_years(), 'junior', '+ ' ~ cohort_years()),
] -%}
-- A district counts where both ends of the cohort are in. Asked first: without two such years no figure is read.
with cohort_schools as (
    {%- for role, stage, measure, shift, other_stage, other_shift in cohort %}
    select
        schools.delivery_id,
        schools.period as stat_year,
        schools.school_code,
        '{{ stage }}' as stage,
        '{{ measure }}' as measure,
        '{{ role }}' as role,
        schools.period {{ shift }} as period
    from {{ ref('int_school_year') }} as schools
    inner join {{ ref('int_stage_area_year') }} as other_end
        on
            schools.area_code = other_end.area_code
            and schools.period {{ other_shift }} = other_end.period
            and other_end.stage = '{{ other_stage }}'
            and other_end.school_count is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

cohort_figures as (
    select
        schools.role,
        schools.period,
        figures.*
    from {{ ref('stg_census_figure') }} as figures
    inner join cohort_schools as schools
        on
            figures.delivery_id = schools.delivery_id
            and figures.stat_year = schools.stat_year
            and figures.school_code = schools.school_code
            and figures.stage = schools.stage
            and figures.measure = schools.measure
    {{ highest_reported() }}
),

-- Many small files behind each: opened once for all questions.
higher_enrolment as (
    select * from {{ ref('stg_higher_enrolment') }}
),

higher_staff as (
    select * from {{ ref('stg_higher_staff') }}
),

attained as (
    select people.*
    from {{ ref('stg_population_attainment') }} as people
    inner join {{ ref('stg_area') }} as areas
        on people.area_code = areas.area_code
    where areas.area_level = 'city'
),

-- Who has which post is found out once for all four questions.
vocational_posts as (
    select *
    from {{ ref('int_teacher_main_post') }}
    where
        post_category = 'full_time_teacher'
        and stage = 'senior_vocational'
),

named as (
    {%- for model, indicator, role, column, condition in counted %}
    select
        '{{ indicator }}' as indicator_id,
        stat_year as period,
        '{{ role }}' as role,
        cast({{ column }} as decimal(30, 10)) as amount,
        delivery_id,
        '' as member,
        '' as sheet,
        row_no,
        '{{ column }}' as source_cell
    from {{ model }}
    where {{ condition }}
    union all
    {%- endfor %}
    {%- for indicator, first_age, last_age in people %}
    {%- for role, amount in sides %}
    select
        '{{ indicator }}' as indicator_id,
        people.stat_year as period,
        '{{ role }}' as role,
        cast({{ amount }} as decimal(30, 10)) as amount,
        people.delivery_id,
        '' as member,
        '' as sheet,
        people.row_no,
        'residents' as source_cell
    from attained as people
    where {{ is_attainment_group('people', first_age, last_age) }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- for indicator, role, condition in vocational_post_rules() %}
    select
        '{{ indicator }}' as indicator_id,
        period,
        '{{ role }}' as role,
        cast(1 as decimal(30, 10)) as amount,
        delivery_id,
        member,
        sheet,
        row_no,
        '' as source_cell
    from vocational_posts
    where {{ condition }}
    union all
    {%- endfor %}
    select
        'compulsory_retention' as indicator_id,
        period,
        role,
        cast(value as decimal(30, 10)) as amount,
        delivery_id,
        member,
        sheet,
        row_no,
        source_cell
    from cohort_figures
)

select
    named.indicator_id,
    named.period,
    parts.area_code,
    named.role,
    named.amount,
    1 as divisor,
    named.delivery_id,
    named.member,
    named.sheet,
    named.row_no,
    named.source_cell
from named
inner join {{ ref('int_city_part') }} as parts
    on
        named.indicator_id = parts.indicator_id
        and named.period = parts.period
where named.amount <> 0
