{#- From when to when each object stands recognised for a statement; a repeated grant begins nothing new. -#}
with events as (
    select
        statement_id as target_id,
        event_id,
        object_kind,
        nullif(coalesce(nullif(object_code, ''), object_name), '') as object_key,
        object_code,
        area_code,
        level,
        quantity,
        decision,
        decided_on,
        case decision when 'granted' then 1 else 2 end as day_order
    from {{ ref('stg_programme_event') }}
    where
        statement_id is not null
        and not is_contested
),

turns as (
    select
        target_id,
        event_id,
        object_kind,
        object_key,
        object_code,
        area_code,
        level,
        quantity,
        decision,
        decided_on,
        day_order,
        lag(decision) over (
            partition by target_id, object_kind, object_key
            order by decided_on, day_order, event_id
        ) as decision_before
    from events
    where object_key is not null
),

changes as (
    select
        target_id,
        event_id,
        object_kind,
        object_code,
        area_code,
        level,
        quantity,
        decision,
        decided_on,
        lead(decided_on) over (
            partition by target_id, object_kind, object_key
            order by decided_on, day_order, event_id
        ) as until
    from turns
    where decision <> coalesce(decision_before, 'withdrawn')
)

select
    target_id,
    event_id,
    object_kind,
    object_code,
    area_code,
    level,
    quantity,
    decided_on as granted_on,
    until as withdrawn_on
from changes
where decision = 'granted'
union all
-- Persons are counted without a name or code: nothing links a withdrawal to its grant, so it takes its own number off.
select
    target_id,
    event_id,
    object_kind,
    cast(null as varchar) as object_code,
    area_code,
    level,
    case when decision = 'granted' then quantity else -quantity end as quantity,
    decided_on as granted_on,
    cast(null as date) as withdrawn_on
from events
where object_key is null
