-- Every count of the mart: the city is the sum of districts and municipal schools.
select
    period,
    stage
from {{ ref('mart_enrolment') }}
group by period, stage
having
    sum(school_count) filter (where area_level = 'city')
    is distinct from sum(school_count) filter (where area_level in ('district', 'municipal'))
    or sum(enrolment) filter (where area_level = 'city')
    is distinct from sum(enrolment) filter (where area_level in ('district', 'municipal'))
    or sum(entrants) filter (where area_level = 'city')
    is distinct from sum(entrants) filter (where area_level in ('district', 'municipal'))
    or sum(graduates) filter (where area_level = 'city')
    is distinct from sum(graduates) filter (where area_level in ('district', 'municipal'))
    or sum(female) filter (where area_level = 'city')
    is distinct from sum(female) filter (where area_level in ('district', 'municipal'))
    or sum(class_count) filter (where area_level = 'city')
    is distinct from sum(class_count) filter (where area_level in ('district', 'municipal'))
    or sum(fulltime_teachers) filter (where area_level = 'city')
    is distinct from sum(fulltime_teachers) filter (where area_level in ('district', 'municipal'))
