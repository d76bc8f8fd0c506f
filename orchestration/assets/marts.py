"""The dbt models as assets, their tests as asset checks, and the sealed candidate.

What belongs here: how dbt's nodes are named, grouped and described in Dagster, and the step that runs them. What does
not: running dbt (`orchestration.dbt`) and sealing (`warehouse.candidate`).
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetDep,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    Output,
    ResourceParam,
    TableColumn,
    TableSchema,
    asset,
)

from orchestration import dbt, dbt_kept, keys, steps
from orchestration.dbt_library import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
    dbt_assets,
    validate_manifest,
)
from orchestration.guard import guarded
from orchestration.report import Station
from orchestration.steps import Workbench
from warehouse.errors import EduplanError, Refused
from warehouse.records import RECORD_SCHEMAS

Event = Output[Any] | AssetMaterialization | AssetObservation | AssetCheckResult | AssetCheckEvaluation
MARTS_SCHEMA: Final = "marts"
# What `dbt build` makes or runs; everything else in a manifest is only described there.
_KIND_ZH: Final = {"model": "数据模型", "seed": "代码表与登记表", "snapshot": "历史快照"}
_BUILT: Final = {"model", "seed", "snapshot", "test"}


class Translator(DagsterDbtTranslator):
    """Sources are the records assets and the active set; every model waits for the active set."""

    def __init__(self) -> None:
        # Several record tables come from one feed, so several dbt sources are one asset.
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Record tables belong to their feed's asset; `records.delivery` and `records.feed` to the active set."""
        if dbt_resource_props["resource_type"] != "source":
            return super().get_asset_key(dbt_resource_props)
        name = dbt_resource_props["name"]
        return keys.records_key(name.split("__", 1)[0]) if name in RECORD_SCHEMAS else keys.ACTIVE_SET

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder below models/ (staging, intermediate, marts), or `seeds`."""
        return "seeds" if dbt_resource_props["resource_type"] == "seed" else str(dbt_resource_props["fqn"][1])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> AssetSpec:
        """The spec dagster-dbt makes, with the active set among its dependencies."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        props = self.get_resource_props(manifest, unique_id)
        if props["resource_type"] == "source":
            return spec
        follows = any(dep.asset_key == keys.ACTIVE_SET for dep in spec.deps)
        deps = spec.deps if follows else [*spec.deps, AssetDep(keys.ACTIVE_SET)]
        # The database a project is parsed with is none of ours: a candidate is another file each time.
        named = {**spec.metadata, "dagster/table_name": f"{props['schema']}.{props['name']}"}
        return spec.replace_attributes(deps=deps, owners=[keys.OWNER], description=_description(props), metadata=named)


def _description(props: Mapping[str, Any]) -> str:
    """Label in Chinese, where the YAML has one, what it says at length, and what kind of thing it is."""
    label = (props.get("config") or {}).get("meta", {}).get("label_zh") or _KIND_ZH[props["resource_type"]]
    told = " ".join(str(props.get("description") or "").split())
    what = f"dbt {props['resource_type']} `{props['schema']}.{props['name']}`"
    return f"{label}\n\n{told} ({what}, {len(props.get('columns') or {})} documented columns)".replace(
        "\n\n (", "\n\n("
    )


def mart_keys(manifest: Path, translator: DagsterDbtTranslator) -> dict[str, AssetKey]:
    """Name -> asset key of every model of schema `marts`."""
    nodes = validate_manifest(manifest)["nodes"].values()
    return {
        node["name"]: translator.get_asset_key(node)
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == MARTS_SCHEMA
    }


def source_columns(manifest: Path) -> dict[str, dict[str, str]]:
    """Record table -> column -> what it says: the label in Chinese and the description."""
    return {
        source["name"]: {name: _column_words(column) for name, column in source["columns"].items()}
        for source in validate_manifest(manifest)["sources"].values()
    }


def _column_words(column: Mapping[str, Any]) -> str:
    label = (column.get("config") or {}).get("meta", {}).get("label_zh", "")
    return " · ".join(part for part in (label, " ".join(str(column.get("description") or "").split())) if part)


def build_marts_assets(manifest: Path, translator: DagsterDbtTranslator) -> list[AssetsDefinition]:
    """All dbt models and seeds as one multi-asset, and the candidate sealed from them."""

    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="dbt_build")
    def dbt_build(context: AssetExecutionContext, workbench: ResourceParam[Workbench]) -> Iterator[Event]:
        """Build every mart into a fresh candidate database: all of them or none."""
        if context.is_subset:
            raise Refused("候选版本必须整体构建。", "请选择全部 dbt 模型，或直接运行 release_job（eduplan run）。")
        with workbench.record.station("build") as station:
            with guarded(context.op_execution_context, "build"):
                events, problem = _run_dbt(context, workbench, station, manifest, translator)
            station.good = problem is None
            station.summary = f"{len(events)} 个模型与测试完成" if station.good else "dbt 未通过"
        # What did succeed is shown also when something else did not.
        yield from events
        if problem is not None:
            workbench.record.problem = problem
            raise problem

    return [dbt_build, _candidate(list(mart_keys(manifest, translator).values()))]


def _run_dbt(
    context: AssetExecutionContext,
    bench: Workbench,
    station: Station,
    manifest: Path,
    translator: DagsterDbtTranslator,
) -> tuple[list[Event], EduplanError | None]:
    content = validate_manifest(manifest)
    total = sum(node["resource_type"] in _BUILT for node in content["nodes"].values())
    build, share = dbt.begin(bench, content)
    fill = partial(dbt.filled, bench, content)
    events: list[Event] = []
    with dbt.building(
        bench.home, build, manifest, translator, context, share=share, fill=fill, ahead=bench.take_dbt()
    ) as invocation:
        # Once dbt may open its database: until then everything waits for this thread.
        _begin_beside(bench)
        build = bench.build or build
        share = share if build.kept is not None else None
        if share is not None:
            total = len(share.first)
        for event in invocation.stream():
            events.append(event)
            station.advance(min(len(events), total), total)
            if len(events) == total:
                # dbt writes down what it did now, which keeps one processor busy.
                steps.ask_ahead(bench)
        exit_code = invocation.process.wait()
    problem = dbt.failure(dbt.artefact_dir(build), content, exit_code=exit_code)
    if problem is not None:
        dbt.keep_log(build, bench.home)
        return events, problem
    dbt.keep_artefacts(build)
    steps.keep_built(bench)
    # Beside its being copied; then it is taken to be changed.
    tables = dbt.read_tables(build.database)
    steps.protect_ahead(bench)
    steps.ask_ahead(bench)
    if share is not None:
        events = [*_stayed(context, content, translator, events), *_last_of_each(events)]
    whole = _in_order(events, dbt_kept.order(content))
    return [_with_content(event, content, tables) for event in whole], None


def _begin_beside(bench: Workbench) -> None:
    """What is certain to be asked for, while dbt builds in a process of its own."""
    steps.warm_gate(bench)
    steps.warm_names(bench)
    steps.know_ahead(bench)
    steps.ask_the_rest(bench)


def _in_order(events: Sequence[Event], order: Mapping[str, int]) -> list[Event]:
    """Outputs in the order of the graph, as Dagster wants them, then what the tests found."""
    outputs = [event for event in events if isinstance(event, Output)]
    outputs.sort(key=lambda event: order[str(event.metadata["unique_id"].value)])
    return [*outputs, *(event for event in events if not isinstance(event, Output))]


def _last_of_each(events: Iterable[Event]) -> list[Event]:
    """What is said of a node that was run twice is what was said last."""
    return list({_about(event): event for event in events}.values())


def _about(event: Event) -> tuple[str, str]:
    """The node, and the output or asset, that an event tells something about."""
    place = event.output_name if isinstance(event, Output) else str(event.asset_key)
    return (str(event.metadata["unique_id"].value), place)


def _stayed(
    context: AssetExecutionContext,
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
    events: Iterable[Event],
) -> list[Event]:
    """An output for every mart this build left as it was: the candidate follows from all of them. What lies below them
    and was not made says in Dagster when it last was."""
    names = {key: name for name, key in context.assets_def.keys_by_output_name.items()}
    made = {event.output_name for event in events if isinstance(event, Output)}
    marts = {
        names[translator.get_asset_key(node)]: unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] == MARTS_SCHEMA
    }
    return [
        Output(None, output_name=name, metadata={"unique_id": unique_id, "eduplan/unchanged": True})
        for name, unique_id in marts.items()
        if name not in made
    ]


def _with_content(event: Event, manifest: Mapping[str, Any], tables: Mapping[tuple[str, str], dbt.Table]) -> Event:
    """Row count and the columns as they really are, on every table dbt made."""
    if not isinstance(event, Output):
        return event
    unique_id = event.metadata["unique_id"].value
    node = manifest["nodes"].get(unique_id, {})
    table = tables.get((node.get("schema", ""), node.get("alias") or node.get("name", "")))
    if table is None:
        return event
    about = node.get("columns", {})
    schema = TableSchema(
        [TableColumn(name, kind, description=about.get(name, {}).get("description")) for name, kind in table.columns]
    )
    return event.with_metadata({**event.metadata, "dagster/row_count": table.rows, "dagster/column_schema": schema})


def _candidate(marts: Sequence[AssetKey]) -> AssetsDefinition:
    @asset(
        key=keys.CANDIDATE,
        deps=marts,
        group_name=keys.CANDIDATE_GROUP,
        kinds={"duckdb"},
        owners=[keys.OWNER],
        description=(
            "封存的候选版本：一个不再改动的 DuckDB 文件，编号由采用的报送件和代码决定，内容有指纹。\n\n"
            "The sealed candidate: a pure function of the active deliveries and the code, with a content fingerprint."
        ),
    )
    def candidate(
        context: AssetExecutionContext, workbench: ResourceParam[Workbench]
    ) -> Iterator[MaterializeResult[None]]:
        with guarded(context.op_execution_context, "seal"):
            sealed = steps.seal(workbench)
        yield MaterializeResult(
            metadata={
                "candidate_id": sealed.candidate_id,
                "fingerprint": sealed.fingerprint,
                "database": MetadataValue.path(str(sealed.database)),
                "deliveries": len(sealed.inputs["deliveries"]),
            }
        )

    return candidate
