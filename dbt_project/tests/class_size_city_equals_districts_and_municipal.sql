-- Every count of the mart: the city is the sum of districts and municipal schools.
select
    period,
    stage
from {{ ref('mart_class_size') }}
group by period, stage
having
    sum(class_total) filter (where area_level = 'city')
    is distinct from sum(class_total) filter (where area_level in ('district', 'municipal'))
    or sum(class_le45) filter (where area_level = 'city')
    is distinct from sum(class_le45) filter (where area_level in ('district', 'municipal'))
    or sum(class_46_55) filter (where area_level = 'city')
    is distinct from sum(class_46_55) filter (where area_level in ('district', 'municipal'))
    or sum(class_56_65) filter (where area_level = 'city')
    is distinct from sum(class_56_65) filter (where area_level in ('district', 'municipal'))
    or sum(class_ge66) filter (where area_level = 'city')
    is distinct from sum(class_ge66) filter (where area_level in ('district', 'municipal'))
