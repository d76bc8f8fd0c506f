with once as (
    select
        event_id,
        statement_id,
        project_code,
        object_kind,
        object_code,
        object_name,
        area_code,
        level,
        quantity,
        decision,
        decided_on,
        document_no,
        min(delivery_id) as delivery_id
    from {{ source('records', 'programme_register__event') }}
    group by
        event_id,
        statement_id,
        project_code,
        object_kind,
        object_code,
        object_name,
        area_code,
        level,
        quantity,
        decision,
        decided_on,
        document_no
)

select
    event_id,
    statement_id,
    project_code,
    object_kind,
    object_code,
    object_name,
    area_code,
    level,
    quantity,
    decision,
    decided_on,
    document_no,
    count(*) over (partition by event_id) > 1 as is_contested,
    delivery_id
from once
