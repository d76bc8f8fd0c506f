{#- measure, in Chinese, unit, amount, students it is divided by, units whose amount is missing -#}
{%- set measures = [
    ('spend_total', '教育经费总支出', '元', 'spend_total', none, 'units_without_spend'),
    ('spend_fiscal', '财政补助支出', '元', 'spend_fiscal', none, 'units_without_spend'),
    ('budget_spend', '一般公共预算教育经费支出', '元', 'spend_budget', none, 'units_without_spend'),
    ('budget_education_spend', '一般公共预算教育支出', '元', 'spend_budget_education', none, 'units_without_spend'),
    ('budget_operating_spend', '一般公共预算教育事业费支出', '元', 'spend_budget_operating', none, 'units_without_spend'),
    ('budget_construction_spend', '一般公共预算基本建设支出', '元', 'spend_budget_construction', none, 'units_without_spend'),
    ('budget_public_funds', '一般公共预算公用经费支出', '元', 'budget_public_funds', none, 'units_without_public_funds'),
    ('average_students', '年平均学生数', '人', 'average_students', none, 'units_without_students'),
    ('spend_total_per_student', '生均教育经费总支出', '元', 'spend_total', 'average_students', 'units_without_spend'),
    ('spend_fiscal_per_student', '生均财政补助支出', '元', 'spend_fiscal', 'average_students', 'units_without_spend'),
    ('budget_spend_per_student', '生均一般公共预算教育经费', '元', 'spend_budget', 'average_students', 'units_without_spend'),
    ('budget_operating_per_student', '生均一般公共预算教育事业费支出', '元', 'spend_budget_operating',
        'average_students', 'units_without_spend'),
    ('budget_public_funds_per_student', '生均一般公共预算公用经费支出', '元', 'budget_public_funds',
        'average_students_public_funds', 'units_without_public_funds'),
] -%}
with totals as (
    select
        members.area_code,
        members.area_level,
        parts.period,
        parts.school_kind,
        sum(parts.unit_count) as unit_count,
        sum(parts.spend_total) as spend_total,
        sum(parts.spend_fiscal) as spend_fiscal,
        sum(parts.spend_budget) as spend_budget,
        sum(parts.spend_budget_education) as spend_budget_education,
        sum(parts.spend_budget_operating) as spend_budget_operating,
        sum(parts.spend_budget_construction) as spend_budget_construction,
        sum(parts.budget_public_funds) as budget_public_funds,
        sum(parts.average_students) as average_students,
        sum(parts.average_students_public_funds) as average_students_public_funds,
        sum(parts.units_without_spend) as units_without_spend,
        sum(parts.units_without_students) as units_without_students,
        sum(parts.units_without_public_funds) as units_without_public_funds
    from {{ ref('int_finance_kind_area_year') }} as parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    group by members.area_code, members.area_level, parts.period, parts.school_kind
),

measured as (
    {%- for measure, measure_zh, unit, amount, students, missing in measures %}
    select
        area_code,
        area_level,
        period,
        school_kind,
        '{{ measure }}' as measure,
        '{{ measure_zh }}' as measure_zh,
        '{{ unit }}' as unit,
        cast({{ amount }} as decimal(24, 4)) as amount,
        cast({{ students if students else 'null' }} as decimal(24, 4)) as average_students,
        {{ per_student(amount, students) if students else 'cast(' ~ amount ~ ' as decimal(24, 4))' }} as value,
        {{ missing }} as units_without_amount,
        {{ 'units_without_students' if students else '0' }} as units_without_students
    from totals
    {{ "where school_kind <> 'all'" if students else '' }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

covered as (
    select
        measured.*,
        {{ publish_status('coverage.reported_units', 'coverage.expected_units', 'coverage.incomplete_units') }}
            as publish_status,
        coverage.reported_units,
        coverage.expected_units,
        {{ coverage_note('coverage') }} as coverage_zh
    from measured
    inner join {{ ref('int_indicator_coverage') }} as coverage
        on
            measured.area_code = coverage.area_code
            and measured.period = coverage.period
            and coverage.feeds = 'education_finance'
            and coverage.subgroup_zh = ''
)

select
    covered.area_code,
    covered.area_level,
    cast(covered.period as integer) as period,
    covered.school_kind,
    covered.measure,
    covered.measure_zh,
    covered.unit,
    covered.amount,
    covered.average_students,
    covered.value,
    previous.value as previous_value,
    cast(covered.units_without_amount + covered.units_without_students as integer) as units_left_out,
    case
        when covered.publish_status = 'final' and previous.publish_status = 'final'
            then {{ growth_percent('covered.value', 'previous.value') }}
    end as growth_percent,
    covered.publish_status,
    cast(covered.reported_units as integer) as reported_units,
    cast(covered.expected_units as integer) as expected_units,
    nullif(
        concat_ws(
            '；',
            covered.coverage_zh,
            case
                when covered.units_without_amount > 0
                    then {{ count_text('有', 'covered.units_without_amount', '个单位缺数，未计入') }}
            end,
            case
                when covered.units_without_students > 0
                    then {{ count_text('有', 'covered.units_without_students', '个单位缺年初或年末学生数，未计入分母') }}
            end
        ),
        ''
    ) as note,
    {{ suppressed_cells() }} as suppressed
from covered
left join covered as previous
    on
        covered.area_code = previous.area_code
        and covered.period = previous.period + 1
        and covered.school_kind = previous.school_kind
        and covered.measure = previous.measure
