{#
    A table is not made again when everything it is made of says what it said when it was made.

    The build may begin with the tables of the last one (`warehouse.kept`), which the same code made. Schema `kept` then
    knows of each table what it was made from and what it says; a table whose inputs say the same is left as it is, so a
    change stops where it no longer changes anything. Without `EDUPLAN_KEPT` (dbt by hand) every table is made.
#}
{% materialization table, adapter='duckdb' %}
    {%- if not env_var('EDUPLAN_KEPT', '') -%}
        {{ return(dbt.materialization_table_duckdb()) }}
    {%- endif -%}
    {%- set inputs = kept_inputs() -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if inputs and existing is not none and existing.type == 'table' and inputs == kept_made_from() -%}
        {% call noop_statement('main', 'KEPT') %}{% endcall %}
        {{ return({'relations': [existing]}) }}
    {%- endif -%}
    {%- set made = dbt.materialization_table_duckdb() -%}
    {% do kept_remember(inputs) %}
    {{ return(made) }}
{% endmaterialization %}


{# What the tables and records below this model say now, as one digest; '' when one of them is not known. #}
{% macro kept_inputs() %}
    {%- set query -%}
        SELECT CASE WHEN count(*) = count(m.content)
            THEN md5(coalesce(string_agg(n.base || '=' || m.content, ',' ORDER BY n.base), '')) END
        FROM kept.needs AS n
        LEFT JOIN kept.made AS m ON n.base = m.node
        WHERE n.node = '{{ model.unique_id }}'
    {%- endset -%}
    {{ return(run_query(query).rows[0][0] or '') }}
{% endmacro %}


{# What this table's inputs said when it was made; '' when nobody remembers. #}
{% macro kept_made_from() %}
    {%- set query -%}
        SELECT max(m.inputs) FROM kept.made AS m WHERE m.node = '{{ model.unique_id }}'
    {%- endset -%}
    {{ return(run_query(query).rows[0][0] or '') }}
{% endmacro %}


{#
    Note what the table was made from and what it says: its rows as a multiset. Two sums over a hash of each row guard
    against chance, not against intent: `eduplan rebuild` makes everything anew.
#}
{% macro kept_remember(inputs) %}
    {% call statement('kept') %}
        DELETE FROM kept.made WHERE node = '{{ model.unique_id }}';
        INSERT INTO kept.made
        SELECT
            '{{ model.unique_id }}', '{{ inputs }}',
            concat_ws('-', count(*), coalesce(sum(CAST(hash(t) AS HUGEINT)), 0), coalesce(bit_xor(hash(t, 1)), 0))
        FROM {{ this }} AS t;
    {% endcall %}
    {% do adapter.commit() %}
{% endmacro %}
