{#- The official age groups of the gross rates; single ages only, since a band may reach beyond a group. -#}
{%- set groups = [(3, 5), (6, 14), (15, 17)] -%}
select
    residents.stat_year as period,
    areas.area_code,
    {%- for first_age, last_age in groups %}
    sum(residents.residents) filter (where {{ in_age_group('residents', first_age, last_age) }})
        as residents_{{ first_age }}_{{ last_age }},
    {%- endfor %}
    count(*) filter (where {{ in_age_group('residents', 3, 17) }}) as ages_reported
from {{ ref('stg_population_resident') }} as residents
inner join {{ ref('int_area_year') }} as areas
    on
        residents.stat_year = areas.period
        and residents.area_code = areas.area_code
where areas.area_level = 'district'
group by residents.stat_year, areas.area_code
