{#- Cells on premises, each the share of its school's learners who are in the part, and the cells of those learners. -#}
{%- set measures = {
    'building_area_m2': ('building_area', 1),
    'books': ('books', 1),
    'equipment_value_wan': ('equipment', 10000),
} -%}
with counted as (
    {%- for part in ['compulsory', 'vocational'] %}
    {%- set last_part = loop.last %}
    {%- for measure, named in measures.items() %}
    select
        '{{ part }}_{{ named[0] }}_per_student' as indicator_id,
        '{{ part }}' as part,
        '{{ measure }}' as measure,
        {{ named[1] }} as factor
    {%- if not (last_part and loop.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
),

learners as (
    select
        period,
        school_code,
        sum(enrolment) as all_learners,
        sum(enrolment) filter (where stage in ('primary', 'junior')) as compulsory,
        sum(enrolment) filter (where stage = 'senior_vocational') as vocational
    from {{ ref('int_school_stage_year') }}
    group by period, school_code
),

parts as (
    {%- for part in ['compulsory', 'vocational'] %}
    select
        period,
        school_code,
        '{{ part }}' as part,
        {{ part }} as part_learners,
        all_learners
    from learners
    where {{ part }} > 0
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

premises as (
    select distinct
        delivery_id,
        stat_year,
        school_code
    from {{ ref('stg_census_condition') }}
),

schools as (
    select
        schools.period,
        schools.area_code,
        schools.school_code,
        schools.delivery_id
    from {{ ref('int_school_year') }} as schools
    inner join premises
        on
            schools.delivery_id = premises.delivery_id
            and schools.period = premises.stat_year
            and schools.school_code = premises.school_code
),

enrolled as (
    select
        figures.*,
        case when figures.stage = 'senior_vocational' then 'vocational' else 'compulsory' end as part
    from {{ ref('stg_census_figure') }} as figures
    where
        figures.measure = 'enrolment'
        and figures.stage in ('primary', 'junior', 'senior_vocational')
    -- A figure reported twice counts once, with its higher value.
    qualify row_number() over (
        partition by figures.delivery_id, figures.stat_year, figures.school_code, figures.stage
        order by -figures.value, figures.member, figures.sheet, figures.row_no, figures.source_cell
    ) = 1
)

select
    counted.indicator_id,
    schools.period,
    schools.area_code,
    'numerator' as role,
    cast(
        {{ share_of_school('cells.value', 'parts.part_learners', 'parts.all_learners') }} * counted.factor
        as decimal(30, 10)
    ) as amount,
    1 as divisor,
    cells.delivery_id,
    cells.member,
    cells.sheet,
    cells.row_no,
    cells.source_cell
from {{ ref('stg_census_condition') }} as cells
inner join schools
    on
        cells.delivery_id = schools.delivery_id
        and cells.stat_year = schools.period
        and cells.school_code = schools.school_code
inner join parts
    on
        schools.period = parts.period
        and schools.school_code = parts.school_code
inner join counted
    on
        parts.part = counted.part
        and cells.measure = counted.measure
union all
select
    counted.indicator_id,
    schools.period,
    schools.area_code,
    'denominator' as role,
    cast(enrolled.value as decimal(30, 10)) as amount,
    1 as divisor,
    enrolled.delivery_id,
    enrolled.member,
    enrolled.sheet,
    enrolled.row_no,
    enrolled.source_cell
from enrolled
inner join schools
    on
        enrolled.delivery_id = schools.delivery_id
        and enrolled.stat_year = schools.period
        and enrolled.school_code = schools.school_code
inner join counted
    on enrolled.part = counted.part
where enrolled.value <> 0
