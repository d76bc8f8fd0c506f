{#- Tables that promise nothing but their key (seeds, staging, intermediate), all in one statement: each key is the one
    in the table's own `meta`. Tables that promise more have a `sound_rows` test of their own. A table that says what it
    said when the last build passed this test is not asked again (`kept_stayed`). Dagster shows it with one of them: a
    test of many tables without a place of its own is an observation of each of them there, and no check. -#}
{{ config(
    fail_calc="coalesce(sum(failing_rows), 0)",
    tags=["promises"],
    meta={'dagster': {'ref': {'name': 'int_school_year'}}},
) }}
{%- set tables = [
    'int_area_member', 'int_area_year', 'int_balance_area_item', 'int_balance_item', 'int_balance_school',
    'int_city_material', 'int_city_part', 'int_condition_part', 'int_feed_area_year', 'int_finance_kind_area_year',
    'int_finance_unit_year', 'int_fiscal_area_year', 'int_fiscal_comparison', 'int_fiscal_part',
    'int_gross_rate_part', 'int_higher_report', 'int_higher_year', 'int_indicator_coverage', 'int_indicator_part',
    'int_period_fact', 'int_population_area_year', 'int_register_count', 'int_register_member',
    'int_register_spell', 'int_register_year', 'int_school_area_year', 'int_school_condition',
    'int_school_resource_year', 'int_school_stage_year', 'int_school_year', 'int_stage_area_year',
    'int_standing_rule_case', 'int_statement_source', 'int_target_year',
    'int_teacher_quality', 'stg_delivery', 'stg_feed', 'stg_fiscal_account', 'stg_held', 'stg_higher_enrolment',
    'stg_higher_staff', 'stg_population_attainment', 'stg_population_resident', 'area', 'balance_standard',
    'code_attainment', 'code_degree_level', 'code_discipline', 'code_fiscal_status', 'code_organiser',
    'code_population_version', 'code_school_kind_finance', 'code_school_type', 'feed_label', 'plan', 'status_label',
    'teacher_standard'
] %}
{%- set stayed = kept_stayed() %}
select
    promise,
    failing_rows
from (
    select
        '' as promise,
        0 as failing_rows
    {%- for name in tables %}
    {%- set relation = ref(name) %}
    {%- set found = graph.nodes.values() | selectattr('name', 'equalto', name) | list if execute else [] %}
    {%- set key = found[0].config.meta['key'] if found else ['1'] %}
    {%- if not found or found[0].unique_id not in stayed %}
    union all
    select
        '主键 {{ name }} {{ key | join(', ') }}' as promise,
        count(*) as failing_rows
    from (
        select {{ key | join(', ') }}
        from {{ relation }}
        group by {{ key | join(', ') }}
        having
            count(*) > 1
            {%- for column in key %}
            or {{ column }} is null
            {%- endfor %}
    ) as repeated
    {%- endif %}
    {%- endfor %}
) as promises
where failing_rows > 0
