with totals as (
    select
        period,
        area_code,
        stage,
        item_no,
        count(amount) as school_count,
        count(*) - count(amount) as schools_without_figure,
        count(*) filter (where is_line_met) as schools_met,
        sum(pupils) filter (where amount is not null) as pupils,
        sum(amount) as amount
    from {{ ref('int_balance_item') }}
    group by period, area_code, stage, item_no
),

deviations as (
    select
        items.period,
        items.area_code,
        items.stage,
        items.item_no,
        items.pupils,
        {{ relative_deviation('items.amount', 'items.pupils', 'totals.amount', 'totals.pupils') }} as deviation
    from {{ ref('int_balance_item') }} as items
    inner join totals
        on
            items.period = totals.period
            and items.area_code = totals.area_code
            and items.stage = totals.stage
            and items.item_no = totals.item_no
),

squares as (
    select
        period,
        area_code,
        stage,
        item_no,
        sum({{ weighted_square('pupils', 'deviation') }}) as weighted_squares
    from deviations
    where deviation is not null
    group by period, area_code, stage, item_no
)

select
    totals.period,
    totals.area_code,
    totals.stage,
    totals.item_no,
    standards.item_zh,
    standards.unit_zh,
    standards.line,
    standards.cv_limit,
    totals.school_count,
    totals.schools_without_figure,
    totals.schools_met,
    totals.pupils,
    totals.amount,
    standards.per_pupils * {{ ratio('totals.amount', 'totals.pupils') }} as value,
    {{ weighted_cv('squares.weighted_squares', 'totals.pupils') }} as cv
from totals
inner join {{ ref('balance_standard') }} as standards
    on
        totals.item_no = standards.item_no
        and totals.stage = standards.stage
left join squares
    on
        totals.period = squares.period
        and totals.area_code = squares.area_code
        and totals.stage = squares.stage
        and totals.item_no = squares.item_no
