{% test sound_rows(model, key=[], unique=[], required=[], values={}, lookups=[], finite=[]) %}
    {# Everything one table promises of its rows, in one statement: each test by itself costs a run more than its SQL.
       One row a broken promise with how many rows break it; an empty cell breaks `key` and `required` only. #}
    {{ config(fail_calc="coalesce(sum(failing_rows), 0)", tags=["promises"]) }}
    {%- set promises = [] -%}
    {%- if key -%}
        {%- set nulls -%}
            {%- for column in key %} or {{ column }} is null{% endfor -%}
        {%- endset -%}
        {%- do promises.append((
            '主键 ' ~ key | join(', '),
            '(select ' ~ key | join(', ') ~ ' from ' ~ model ~ ' group by ' ~ key | join(', ')
            ~ ' having count(*) > 1' ~ nulls ~ ') as repeated'
        )) -%}
    {%- endif -%}
    {%- for column in unique -%}
        {%- do promises.append((
            '唯一 ' ~ column,
            '(select ' ~ column ~ ' from ' ~ model ~ ' where ' ~ column ~ ' is not null group by ' ~ column
            ~ ' having count(*) > 1) as repeated'
        )) -%}
    {%- endfor -%}
    {%- for column in required -%}
        {%- do promises.append(('非空 ' ~ column, model ~ ' where ' ~ column ~ ' is null')) -%}
    {%- endfor -%}
    {%- for column, known in values.items() -%}
        {%- do promises.append((
            '取值 ' ~ column, model ~ ' where ' ~ column ~ " not in ('" ~ known | join("', '") ~ "')"
        )) -%}
    {%- endfor -%}
    {%- for lookup in lookups -%}
        {%- do promises.append((
            '对应 ' ~ lookup.column ~ ' → ' ~ lookup.to.identifier,
            model ~ ' as child left join ' ~ lookup.to ~ ' as parent on child.' ~ lookup.column ~ ' = parent.'
            ~ lookup.field ~ ' where child.' ~ lookup.column ~ ' is not null and parent.' ~ lookup.field ~ ' is null'
        )) -%}
    {%- endfor -%}
    {%- for column in finite -%}
        {%- do promises.append((
            '有限数 ' ~ column, model ~ ' where not coalesce(' ~ is_finite(column) ~ ', true)'
        )) -%}
    {%- endfor %}
    select
        promise,
        failing_rows
    from (
        {%- for promise, rows in promises %}
        select
            '{{ promise }}' as promise,
            count(*) as failing_rows
        from {{ rows }}
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    ) as promises
    where failing_rows > 0
{% endtest %}
