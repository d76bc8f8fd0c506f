{#
    DuckDB's DDL is part of a transaction: a model is replaced under its own name, and whoever looks sees the one before
    or the new one. The stock materializations make it under another name and rename it, for engines that cannot; over
    a whole build of the small city that is a seventh to a fifth of dbt's processor time.

    A table is not made again when everything it is made of says what it said when it was made.

    The build may begin with the tables of the last one (`warehouse.kept`), which the same code made. Schema `kept` then
    knows of each table what it was made from and what it says; a table whose inputs say the same is left as it is, so a
    change stops where it no longer changes anything. Without `EDUPLAN_KEPT` (dbt by hand) every table is made.

    A model whose rows of a year follow from its inputs' rows of that year alone says so: `meta: {kept_by: period}`. Of
    it only the years are made again whose inputs say something else; `tests/pipeline/test_rebuild.py` takes all
    other years away and looks whether one stays the same.
#}
{% materialization table, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set kept = env_var('EDUPLAN_KEPT', '') -%}
    {%- set year = config.get('meta', {}).get('kept_by', '') -%}
    {%- set other = kept_changes(year) if kept and existing is not none and existing.type == 'table' else none -%}
    {%- if other is not none and not other -%}
        {% call noop_statement('main', 'KEPT') %}{% endcall %}
        {{ return({'relations': [existing]}) }}
    {%- endif -%}
    {%- set made = this.incorporate(type='table') -%}
    {%- set years = other if other and year and none not in other else [] -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {%- if years %}
            DELETE FROM {{ this }} WHERE {{ kept_within(year, years) }};
            INSERT INTO {{ this }} BY NAME SELECT * FROM (
                {{ compiled_code }}
            ) AS made WHERE {{ kept_within(year, years) }};
        {%- else %}
            {{ drop_in_place(existing) }}
            {{ create_table_as(False, made, compiled_code, 'sql') }}
        {%- endif %}
    {% endcall %}
    {%- if not years -%}{% do persist_docs(made, model) %}{%- endif -%}
    {%- if kept -%}{% do kept_remember(year, years) %}{%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ return({'relations': [made]}) }}
{% endmaterialization %}


{% materialization view, adapter='duckdb' %}
    {%- set made = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {{ drop_in_place(load_cached_relation(this)) }}
        {{ get_create_view_as_sql(made, compiled_code) }}
    {% endcall %}
    {% do persist_docs(made, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ return({'relations': [made]}) }}
{% endmaterialization %}


{% macro drop_in_place(existing) -%}
    {%- if existing is not none -%}DROP {{ existing.type }} {{ existing }};{%- endif -%}
{%- endmacro %}


{#
    What everything below this model says now, as relation `inputs` (year, digest): a row a year where the model is kept
    by year, else one row without. Of a table that is not kept by year every year sees all. NULL where one of them is not
    known.
#}
{% macro kept_inputs(year) %}
    bases AS (
        SELECT
            n.base,
            max(m.content) FILTER (WHERE m.year IS NULL) AS content,
            count(m.year) > 0 AS is_by_year
        FROM kept.needs AS n
        LEFT JOIN kept.made AS m ON n.base = m.node
        WHERE n.node = '{{ model.unique_id }}'
        GROUP BY n.base
    ),
    {% if year %}
    years AS (
        SELECT DISTINCT m.year
        FROM kept.made AS m INNER JOIN bases AS b ON m.node = b.base
        WHERE m.year IS NOT NULL
    ),
    {% else %}
    years AS (SELECT CAST(NULL AS INTEGER) AS year),
    {% endif %}
    inputs AS (
        SELECT
            y.year,
            CASE WHEN count(*) = count(b.content) THEN md5(string_agg(
                b.base || '='
                || CASE WHEN y.year IS NOT NULL AND b.is_by_year THEN coalesce(m.content, '') ELSE b.content END,
                ',' ORDER BY b.base
            )) END AS digest
        FROM years AS y
        CROSS JOIN bases AS b
        LEFT JOIN kept.made AS m ON b.base = m.node AND y.year = m.year
        GROUP BY y.year
    )
{% endmacro %}


{#
    The condition that a row is of one of these years. Of an equation the engine lets the models below read one year of the
    records; of a list, even of one year, it does not.
#}
{% macro kept_within(year, years) -%}
    {{ year }} {% if years | length == 1 %}= {{ years | first }}{% else %}IN ({{ years | sort | join(', ') }}){% endif %}
{%- endmacro %}


{# The years to make again, [none] for the whole table, [] for nothing. #}
{% macro kept_changes(year) %}
    {%- set query -%}
        WITH {{ kept_inputs(year) }},
        before AS (
            SELECT m.year, m.inputs FROM kept.made AS m
            WHERE m.node = '{{ model.unique_id }}' AND (m.year IS NOT NULL) = {{ 'true' if year else 'false' }}
        )
        SELECT
            coalesce(i.year, b.year) AS year,
            (i.year IS NOT NULL AND i.digest IS NULL) OR (SELECT count(*) FROM before) = 0 AS is_unknown
        FROM inputs AS i
        FULL JOIN before AS b ON i.year IS NOT DISTINCT FROM b.year
        WHERE i.digest IS NULL OR i.digest IS DISTINCT FROM b.inputs
    {%- endset -%}
    {%- set found = run_query(query).rows -%}
    {%- if found | selectattr('is_unknown') | list -%}{{ return([none]) }}{%- endif -%}
    {{ return(found | map(attribute='year') | list) }}
{% endmacro %}


{#
    Note what the table was made from and what it says: its rows as a multiset. Two sums over hashes of each row guard
    against chance, not against intent: `eduplan rebuild` makes everything anew. `years`: those made again, [] for all.
#}
{% macro kept_remember(year, years) %}
    {%- set content -%}
        concat_ws('-', count(*), coalesce(sum(CAST(hash(t) AS HUGEINT)), 0), coalesce(bit_xor(hash(t, 1)), 0))
    {%- endset -%}
    {%- set node = "'" ~ model.unique_id ~ "'" -%}
    {% call statement('kept') %}
        DELETE FROM kept.made
        WHERE node = {{ node }} {% if years %}AND (year IS NULL OR {{ kept_within('year', years) }}){% endif %};
        {% if year %}
        INSERT INTO kept.made
        WITH {{ kept_inputs(year) }},
        said AS (
            SELECT t.{{ year }} AS year, {{ content }} AS content FROM {{ this }} AS t
            {% if years %}WHERE {{ kept_within('t.' ~ year, years) }}{% endif %}
            GROUP BY t.{{ year }}
        )
        SELECT
            {{ node }}, coalesce(i.year, s.year), i.digest,
            -- A row of a year none of its inputs has would not be made again with them.
            CASE
                WHEN i.year IS NULL THEN error('{{ model.name }}: a row of a year that none of its inputs has')
                ELSE coalesce(s.content, '')
            END
        FROM inputs AS i
        FULL JOIN said AS s ON i.year = s.year
        {% if years %}WHERE {{ kept_within('coalesce(i.year, s.year)', years) }}{% endif %};
        INSERT INTO kept.made
        SELECT {{ node }}, NULL, NULL, md5(coalesce(string_agg(year || '=' || content, ',' ORDER BY year), ''))
        FROM kept.made WHERE node = {{ node }} AND year IS NOT NULL;
        {% else %}
        INSERT INTO kept.made
        WITH {{ kept_inputs(year) }}
        SELECT {{ node }}, NULL, (SELECT digest FROM inputs), {{ content }} FROM {{ this }} AS t;
        {% endif %}
    {% endcall %}
{% endmacro %}


{#
    The ids of tables and seeds of which this build left every row as the last one had them, which passed all tests: a
    promise about such a table alone need not be asked again. Empty where the build did not begin with the last one.
#}
{% macro kept_stayed() %}
    {%- if not execute or not env_var('EDUPLAN_KEPT', '') -%}{{ return([]) }}{%- endif -%}
    {%- set query -%}
        SELECT m.node
        FROM kept.made AS m
        INNER JOIN kept.before AS b ON m.node = b.node AND m.content = b.content
        WHERE m.year IS NULL
    {%- endset -%}
    {%- set same = run_query(query).columns[0].values() | list -%}
    {#- Seeds are code, and the last build was made by the same. -#}
    {%- set seeds = graph.nodes.values() | selectattr('resource_type', 'equalto', 'seed') | map(attribute='unique_id') -%}
    {{ return(same + (seeds | list if same else [])) }}
{% endmacro %}
