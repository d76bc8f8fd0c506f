with totals as (
    select
        members.area_code,
        members.area_level,
        parts.period,
        parts.stage,
        sum(parts.class_total) as class_total,
        sum(parts.class_le45) as class_le45,
        sum(parts.class_46_55) as class_46_55,
        sum(parts.class_56_65) as class_56_65,
        sum(parts.class_ge66) as class_ge66
    from {{ ref('int_stage_area_year') }} as parts
    inner join {{ ref('int_area_member') }} as members
        on
            parts.period = members.period
            and parts.area_code = members.part_area_code
    where parts.class_total is not null
    group by members.area_code, members.area_level, parts.period, parts.stage
)

select
    area_code,
    area_level,
    period,
    stage,
    cast(class_total as bigint) as class_total,
    cast(class_le45 as bigint) as class_le45,
    cast(class_46_55 as bigint) as class_46_55,
    cast(class_56_65 as bigint) as class_56_65,
    cast(class_ge66 as bigint) as class_ge66,
    cast({{ large_classes('class_56_65', 'class_ge66') }} as bigint) as class_ge56,
    {{ large_class_share(large_classes('class_56_65', 'class_ge66'), 'class_total') }} as share_ge56,
    {{ large_class_share('class_ge66', 'class_total') }} as share_ge66
from totals
