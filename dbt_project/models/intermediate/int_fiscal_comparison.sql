{#- Every pair of fiscal figures that a standing rule compares, with why a pair cannot be compared. -#}
with measures as (
    {%- for measure, unit in fiscal_measures() %}
    select
        accounts.area_code,
        accounts.area_level,
        accounts.fiscal_year,
        '{{ measure }}' as measure,
        '{{ unit }}' as unit_zh,
        {%- if measure == 'education_share' %}
        {{ fiscal_education_share('accounts') }} as value,
        {%- else %}
        cast(accounts.{{ measure }} as double) as value,
        {%- endif %}
        accounts.publish_status,
        accounts.note
    from {{ ref('int_fiscal_area_year') }} as accounts
    where accounts.area_level <> 'group'
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

paired as (
    select
        now.area_code,
        now.area_level,
        now.fiscal_year,
        now.measure,
        now.unit_zh,
        now.value,
        before.value as value_before,
        {{ growth_percent('now.value', 'before.value') }} as growth,
        now.publish_status,
        before.publish_status as publish_status_before,
        now.note,
        before.note as note_before
    from measures as now
    left join measures as before
        on
            now.area_code = before.area_code
            and now.measure = before.measure
            and now.fiscal_year = before.fiscal_year + 1
),

sides as (
    select
        area_code,
        area_level,
        fiscal_year,
        measure,
        'fiscal_previous_year' as comparison,
        unit_zh,
        value as left_value,
        value_before as right_value,
        publish_status,
        publish_status_before,
        note,
        note_before,
        true as needs_before
    from paired
    union all
    select
        own.area_code,
        own.area_level,
        own.fiscal_year,
        own.measure,
        'fiscal_growth' as comparison,
        '%' as unit_zh,
        own.growth as left_value,
        other.growth as right_value,
        own.publish_status,
        own.publish_status_before,
        own.note,
        own.note_before,
        true as needs_before
    from paired as own
    inner join paired as other
        on
            own.area_code = other.area_code
            and own.fiscal_year = other.fiscal_year
            and other.measure = 'recurrent_revenue'
    where own.measure = 'education_appropriation'
    union all
    select
        own.area_code,
        own.area_level,
        own.fiscal_year,
        own.measure,
        'fiscal_pay' as comparison,
        own.unit_zh,
        own.value as left_value,
        other.value as right_value,
        own.publish_status,
        own.publish_status_before,
        own.note,
        own.note_before,
        false as needs_before
    from paired as own
    inner join paired as other
        on
            own.area_code = other.area_code
            and own.fiscal_year = other.fiscal_year
            and other.measure = 'civil_servant_pay'
    where own.measure = 'teacher_pay'
)

select
    area_code,
    area_level,
    fiscal_year,
    measure,
    comparison,
    unit_zh,
    left_value,
    right_value,
    case
        when publish_status = 'partial' then concat('本年覆盖不全；', note)
        when needs_before and publish_status_before is null then '缺上年数据'
        when needs_before and publish_status_before = 'partial' then concat('上年覆盖不全；', note_before)
        when left_value is null or right_value is null then '有一侧没有数'
    end as reason,
    case when 'preliminary' in (publish_status, case when needs_before then publish_status_before end) then '含快报数' end
        as remark
from sides
-- Average pay has no whole: the city's row would say nothing that its districts do not.
where
    measure <> 'teacher_pay'
    or area_level <> 'city'
