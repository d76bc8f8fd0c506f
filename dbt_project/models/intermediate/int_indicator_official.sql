select
    figures.indicator_id,
    figures.stat_year as period,
    areas.area_code,
    areas.area_level,
    figures.ref_period,
    cast(figures.value as double) as value,
    indicators.unit_zh as unit,
    concat_ws('；', concat('来源：', figures.source), nullif(figures.note, ''), concat('可信度：', figures.confidence)) as note,
    figures.delivery_id,
    figures.member,
    figures.sheet,
    figures.row_no
from {{ ref('stg_official_figure') }} as figures
inner join {{ ref('indicator') }} as indicators
    on figures.indicator_id = indicators.indicator_id
inner join {{ ref('stg_area') }} as areas
    on figures.area_code = areas.area_code
where
    indicators.method_expected = 'official'
    and areas.area_level = 'city'
qualify row_number() over (
    partition by figures.indicator_id, figures.stat_year, areas.area_code
    order by figures.confidence_rank, figures.delivery_id, figures.row_no
) = 1
