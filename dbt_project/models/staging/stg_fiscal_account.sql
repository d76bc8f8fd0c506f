with ranked as (
    select
        accounts.fiscal_year,
        accounts.area_code,
        accounts.status,
        accounts.general_budget_spending,
        accounts.budget_education_spending,
        accounts.education_operating,
        accounts.capital_construction,
        accounts.education_surcharge,
        accounts.fiscal_education_funds,
        accounts.education_appropriation,
        accounts.recurrent_revenue,
        accounts.civil_servant_pay,
        accounts.teacher_pay,
        accounts.delivery_id,
        accounts.row_no,
        rank() over (
            partition by accounts.area_code, accounts.fiscal_year
            order by statuses.rank
        ) as status_rank
    from {{ source('records', 'fiscal_accounts__account') }} as accounts
    inner join {{ ref('code_fiscal_status') }} as statuses
        on accounts.status = statuses.code
)

select
    fiscal_year,
    area_code,
    status,
    general_budget_spending,
    budget_education_spending,
    education_operating,
    capital_construction,
    education_surcharge,
    fiscal_education_funds,
    education_appropriation,
    recurrent_revenue,
    civil_servant_pay,
    teacher_pay,
    delivery_id,
    row_no
from ranked
where status_rank = 1
