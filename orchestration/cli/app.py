"""The commands of `eduplan`: names, arguments and help, in Chinese first.

What belongs here: declarations. What does not: the work of a command; each one hands over to a module of this folder,
imported only then, so that `--help` stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from typer import rich_utils

# The fixed words of help pages.
rich_utils.OPTIONS_PANEL_TITLE = "选项 Options"
rich_utils.ARGUMENTS_PANEL_TITLE = "参数 Arguments"
rich_utils.COMMANDS_PANEL_TITLE = "命令 Commands"
rich_utils.DEFAULT_STRING = "[默认: {}]"
rich_utils.REQUIRED_LONG_STRING = "[必填]"

_SETTINGS: Final = {"help_option_names": ["--help", "-h"], "terminal_width": 100}

app = typer.Typer(
    name="eduplan",
    help=(
        "教育规划指标仓库：收取报送件，构建、检查并发布指标。\n\n"
        "Takes in what offices deliver, builds indicator marts, judges them and publishes.\n\n"
        "状态目录由环境变量 EDUPLAN_HOME 指定（默认 ./var）。退出码：0 完成，1 被检查拒绝，2 用法不对，3 故障。"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings=_SETTINGS,
)
plan_app = typer.Typer(help="规划登记表。The plan registry.", no_args_is_help=True, context_settings=_SETTINGS)
app.add_typer(plan_app, name="plan")
gate_app = typer.Typer(help="质量检查（门禁）本身。The gate itself.", no_args_is_help=True, context_settings=_SETTINGS)
app.add_typer(gate_app, name="gate")

Json = Annotated[bool, typer.Option("--json", help="以 JSON 输出，供程序读取。Print JSON.")]
Profile = Annotated[str, typer.Option(help="示例城市规模：small 或 city。Size of the sample city.")]
Years = Annotated[str, typer.Option(help="年度范围，如 2020-2025。Years, first-last.")]
Dirt = Annotated[float, typer.Option(help="损坏行的比例，0 到 0.5。Share of damaged rows.")]
Seed = Annotated[int, typer.Option(help="随机种子，相同种子得到相同文件。Same seed, same files.")]


@app.command()
def demo(
    profile: Profile = "city", years: Years = "", seed: Seed = 20250901, dirt: Dirt = 0.0, json: Json = False
) -> int:
    """用示例城市走完全程：报送、收取、构建、检查、发布。The whole way on the sample city."""
    from orchestration.cli import demo as command

    return command.demo(command.Sample(profile, command.years_of(profile, years), seed, dirt), as_json=json)


@app.command()
def sample(  # noqa: PLR0917 - typer passes options by name
    out: Annotated[Path, typer.Option(help="写到哪个目录。Where to write.")],
    profile: Profile = "small",
    years: Years = "",
    seed: Seed = 20250901,
    dirt: Dirt = 0.002,
    json: Json = False,
) -> int:
    """只生成示例城市的报送件，不收取。Write the deliveries of the sample city."""
    from orchestration.cli import demo as command

    return command.sample(out, command.Sample(profile, command.years_of(profile, years), seed, dirt), as_json=json)


@app.command()
def run(json: Json = False) -> int:
    """收取全部等待的报送件，构建、检查并发布。Take in what waits, build, judge, publish."""
    from orchestration.cli import run as command

    return command.run(as_json=json)


@app.command()
def intake(
    compare: Annotated[
        bool, typer.Option("--compare", help="逐组重读数据库并与已收取的比较。Read databases whole and compare.")
    ] = False,
    json: Json = False,
) -> int:
    """只收取并解析，不构建。Take in only."""
    from orchestration.cli import run as command

    return command.intake(as_json=json, compare=compare)


@app.command()
def rerun(
    year: Annotated[list[int] | None, typer.Option(help="统计年度，可重复；不填为全部。Years.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="区域代码或名称，可重复；不填为全部。Areas.")] = None,
    feed: Annotated[list[str] | None, typer.Option(help="报送类别，可重复；不填为全部。Feeds.")] = None,
    json: Json = False,
) -> int:
    """重读存档原件（按年度、区县、类别），有变化才重新构建发布。Read archived originals again, rebuild what changed."""
    from orchestration.cli import rerun as command

    return command.rerun(tuple(year or ()), tuple(area or ()), tuple(feed or ()), as_json=json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="要检查的文件。The file.")],
    feed: Annotated[str, typer.Option(help="报送类别，如 school_census。The feed.")],
    marked: Annotated[
        Path | None, typer.Option(help="把问题单元格着色并加批注的副本写到此 .xlsx。Write a marked copy.")
    ] = None,
    json: Json = False,
) -> int:
    """报送前自查一个文件，不留任何痕迹。Rehearse a file before handing it in."""
    from orchestration.cli import check as command

    return command.check(file, feed, as_json=json, marked=marked)


@app.command()
def status(
    check: Annotated[
        bool,
        typer.Option("--check", help="供定时任务：补发告警，有严重事项或告警送不出时退出码为 1。For cron: exit 1."),
    ] = False,
    json: Json = False,
) -> int:
    """一屏看全：等待、运行、被拒及原因、覆盖、逾期、告警、发布。How everything stands."""
    from orchestration.cli import status as command

    return command.check(as_json=json) if check else command.status(as_json=json)


@app.command()
def alerts(
    trial: Annotated[
        bool, typer.Option("--trial", help="向每个告警端发一条试验消息。Send a trial message to every end.")
    ] = False,
    json: Json = False,
) -> int:
    """未解除的告警与各告警端的送达情况。Open alerts, and who has been told."""
    from orchestration.cli import alerts as command

    return command.trial(as_json=json) if trial else command.alerts(as_json=json)


@app.command()
def metrics(
    serve: Annotated[
        bool, typer.Option("--serve", help="在 127.0.0.1 上持续提供 /metrics。Serve on 127.0.0.1.")
    ] = False,
    port: Annotated[int, typer.Option(help="服务端口。Port.", min=0, max=65535)] = 9808,
) -> int:
    """供 Prometheus 读取的指标（文本格式）。Metrics for Prometheus."""
    from orchestration.cli import metrics as command

    return command.serve(port) if serve else command.show()


@app.command()
def releases(json: Json = False) -> int:
    """历次发布。All releases."""
    from orchestration.cli import look as command

    return command.list_releases(as_json=json)


@app.command()
def verify(
    release: Annotated[
        str | None,
        typer.Argument(help="发布编号，或复制出来的发布目录、状态目录；不填则核对全部。All when left out."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="自己保存的公钥（PEM）。A public key you kept.")
    ] = None,
    head: Annotated[
        Path | None, typer.Option("--head", help="另行保存的链首 chain-head.dsse.json。A chain head you kept.")
    ] = None,
    privacy: Annotated[
        bool,
        typer.Option("--privacy", help="另查各文件中有无身份证号、电话、名册姓名。Also search for persons."),
    ] = False,
    json: Json = False,
) -> int:
    """离线核对发布、签名、原件、台账是否完整未被改动。Is everything still what it was?"""
    from orchestration.cli import verify as command

    return command.verify(release, public_key=public_key, head=head, privacy=privacy, as_json=json)


@app.command()
def explain(  # noqa: PLR0917 - typer passes options by name
    indicator: Annotated[str, typer.Argument(help="指标编号，如 pre_enrolment。The indicator's id.")],
    area: Annotated[str, typer.Option(help="区域代码或名称，默认全市。Area code or name.")] = "500000",
    year: Annotated[int | None, typer.Option(help="年度；不填取最新。The newest when left out.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="当时怎么说：日期或时点，如 2023-12-31。What was said then.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="发布编号；不填用当前发布。A release.")] = None,
    json: Json = False,
) -> int:
    """说明一个数从哪里来：公式、报送件、文件、行、检查、豁免。Where a figure comes from."""
    from orchestration.cli import explain as command
    from warehouse.explain import Question

    question = Question(indicator, area, year)
    return command.explain(question, as_of=as_of, release_id=release, as_json=json)


@app.command()
def trace(
    delivery: Annotated[str, typer.Argument(help="报送件编号，如回执所示。The delivery's id.")],
    release: Annotated[str | None, typer.Option(help="只看某一发布。One release only.")] = None,
    json: Json = False,
) -> int:
    """列出依据某一报送件的全部发布数。Every published figure that rests on a delivery."""
    from orchestration.cli import explain as command

    return command.trace(delivery, release_id=release, as_json=json)


@app.command()
def rebuild(
    release: Annotated[str, typer.Argument(help="发布编号。The release.")],
    json: Json = False,
) -> int:
    """从存档的原件重建一次发布并比较内容指纹。Build a release again from the archive and compare."""
    from orchestration.cli import rebuild as command

    return command.rebuild(release, as_json=json)


@app.command()
def evaluate(
    kind: Annotated[str, typer.Option(help="annual 年度、mid-term 中期或 final 总结。Kind of evaluation.")],
    year: Annotated[int | None, typer.Option(help="年度；不填取最新。The newest when left out.")] = None,
    plan: Annotated[str, typer.Option(help="规划编号。The plan's id.")] = "cq-145-education",
    json: Json = False,
) -> int:
    """评估规划：约束性指标逐项在前，其余按状态计数。Evaluate a plan, binding targets first."""
    from orchestration.cli import evaluate as command

    return command.evaluate(kind, year, plan, as_json=json)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="较早的发布编号。The earlier release.")],
    new: Annotated[str, typer.Argument(help="较晚的发布编号。The later release.")],
    json: Json = False,
) -> int:
    """逐值比较两次发布。Compare two releases value by value."""
    from orchestration.cli import look as command

    return command.diff(old, new, as_json=json)


@app.command()
def waive(  # noqa: PLR0917 - typer passes options by name
    rule: Annotated[str, typer.Option(help="规则编号。The rule's id.")],
    scope: Annotated[list[str], typer.Option(help="一行的键，如 'area_code=500101 period=2022'；可重复。Row keys.")],
    max_rows: Annotated[int, typer.Option(help="最多豁免几行。Most rows it may cover.")],
    reason: Annotated[str, typer.Option(help="理由。The reason.")],
    evidence: Annotated[str, typer.Option(help="证据，如文号或附件。The evidence.")],
    requested_by: Annotated[str, typer.Option(help="申请人。Who asks.")],
    approved_by: Annotated[str, typer.Option(help="批准人，不得是申请人。Who approves; somebody else.")],
    days: Annotated[int, typer.Option(help="有效天数，至多 366。Days it holds.")] = 30,
    json: Json = False,
) -> int:
    """为某条规则的指定几行申请有期限的豁免。Waive named rows of one rule for a while."""
    from orchestration.cli import waive as command

    request = command.Request(
        rule, tuple(scope), max_rows, reason, evidence, requested_by=requested_by, approved_by=approved_by, days=days
    )
    return command.waive(request, as_json=json)


@app.command()
def withdraw(
    delivery: Annotated[str, typer.Argument(help="回执编号，如 d0123456789abcdef。The delivery's id.")],
    reason: Annotated[str, typer.Option(help="理由。The reason.")],
    by: Annotated[str, typer.Option(help="经办人。Who decides.")],
    undo: Annotated[bool, typer.Option("--undo", help="恢复已撤回的报送件。Let it count again.")] = False,
    json: Json = False,
) -> int:
    """撤回一件报送件：不再计入，先前的一件重新生效；原件与记录保留。Take a delivery back."""
    from orchestration.cli import withdraw as command

    return command.withdraw(delivery, reason=reason, by=by, undo=undo, as_json=json)


@app.command()
def acknowledge(
    candidate: Annotated[str, typer.Argument(help="候选编号，如拒绝发布的提示所示。The candidate.")],
    by: Annotated[str, typer.Option("--by", help="由谁确认。Who answers for it.")],
    reason: Annotated[str, typer.Option(help="理由，如口径调整的文号。The reason.")],
    json: Json = False,
) -> int:
    """确认一个候选中没有报送件可以解释的重大变化。Answer for material changes that no delivery explains."""
    from orchestration.cli import acknowledge as command

    return command.acknowledge(candidate, by=by, reason=reason, as_json=json)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只列出，不清理。Only list.")] = False,
    by: Annotated[str, typer.Option("--by", help="经办人；不填为当前系统用户。Who decides.")] = "",
    json: Json = False,
) -> int:
    """按留存规则清理过期的发布数据、候选、记录与运行历史，并记入台账。Clear away what need not be kept."""
    from orchestration.cli import prune as command

    return command.prune(by=by, dry_run=dry_run, as_json=json)


@app.command()
def backup(
    dest: Annotated[Path, typer.Argument(help="备份目录，可重复使用（增量）。Where to; used again, it grows.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="密钥另存到此目录（与备份分开保管）。Keys, kept apart.")
    ] = None,
    json: Json = False,
) -> int:
    """备份台账、原件、记录、发布与设置；运行期间也可执行。Back up; a run may be under way."""
    from orchestration.cli import backup as command

    return command.backup(dest, keys=keys, as_json=json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="备份目录。The back-up.")],
    keys: Annotated[Path | None, typer.Option("--keys", help="另存的密钥目录。Where the keys are.")] = None,
    name: Annotated[str, typer.Option("--backup", help="取哪一次备份；不填取最新。Which one.")] = "",
    check: Annotated[bool, typer.Option("--check", help="只核对备份，不恢复。Only check.")] = False,
    json: Json = False,
) -> int:
    """先核对备份，再恢复到空的状态目录。Check a back-up, then restore it into an empty home."""
    from orchestration.cli import backup as command

    return command.restore(source, keys=keys, name=name, check=check, as_json=json)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="网页端口。Port of the web page.")] = 3000,
    metrics_port: Annotated[int, typer.Option(help="指标端口。Port of the metrics.")] = 9808,
) -> int:
    """启动 Dagster 网页与守护进程（仅本机 127.0.0.1）。The Dagster UI and daemon."""
    from orchestration.cli import dev as command

    return command.dev(port, metrics_port)


@plan_app.command("verify")
def plan_verify(
    text: Annotated[Path, typer.Option("--text", help="规划原文（UTF-8 文本）。The plan's text.")],
    plan: Annotated[str, typer.Option(help="规划编号。The plan's id.")] = "cq-145-education",
    json: Json = False,
) -> int:
    """用规划原文核对登记表的每一条。Check every statement of the registry against the text."""
    from orchestration.cli import plan as command

    return command.verify(text, plan, as_json=json)


@gate_app.command("rules")
def gate_rules(
    write: Annotated[bool, typer.Option("--write", help="写入 docs/rules.md。Write docs/rules.md.")] = False,
    json: Json = False,
) -> int:
    """全部发布规则与看护情况。All publication rules and what they guard."""
    from orchestration.cli import gate as command

    return command.rules(write=write, as_json=json)


@gate_app.command("self-test")
def gate_self_test(
    candidate: Annotated[str | None, typer.Argument(help="候选编号；不填用当前发布的候选。The candidate.")] = None,
    json: Json = False,
) -> int:
    """在候选的副本上为每条严重规则植入一处缺陷，证明规则都能发现。Does every critical rule bite?"""
    from orchestration.cli import gate as command

    return command.self_test(candidate, as_json=json)


@plan_app.command("coverage")
def plan_coverage(
    check: Annotated[bool, typer.Option("--check", help="只检查页面是否为最新。Only check.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="写到别处（默认 docs/plan-coverage.md）。Write elsewhere.")
    ] = None,
) -> int:
    """生成规划覆盖情况页：每条规划表述由什么数据回答。Write the page on how each statement is answered."""
    from orchestration.cli import plan as command

    return command.coverage(output, check=check)
