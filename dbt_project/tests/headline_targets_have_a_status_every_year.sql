{{ config(meta={'dagster': {'ref': {'name': 'mart_plan_progress'}}}) }}
-- Every headline target has exactly one row for the city in every year of its plan, with or without data.
select
    targets.target_id,
    plans.final_year - plans.first_year + 1 as years_due,
    count(progress.year) as years_judged
from {{ ref('dim_target') }} as targets
inner join {{ ref('plan') }} as plans
    on targets.plan_id = plans.plan_id
left join {{ ref('mart_plan_progress') }} as progress
    on
        targets.target_id = progress.target_id
        and plans.city_area_code = progress.area_code
where targets.kind = 'headline_indicator'
group by targets.target_id, plans.final_year, plans.first_year
having count(progress.year) <> plans.final_year - plans.first_year + 1
