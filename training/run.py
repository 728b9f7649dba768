"""A retraining run, its steps in order: check, train, export, calibrate, evaluate, register, compare, promote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.aggregate import ArticleRule, Rule
from inference.bundle import file_digest
from inference.precision import FULL
from training.articles import Trial, aggregate_by, article_gold, choose_rule, rules_table
from training.baseline import Baseline
from training.calibrate import Calibration, fit_calibration
from training.config import ConfigError, RunConfig
from training.corpus import Example, corpus_digest, load_examples
from training.evaluate import evaluate
from training.evaluation_markdown import to_markdown
from training.evidence import Cost, Decision, Evidence
from training.gate import decide
from training.metrics import Scored
from training.scoring import bundle_logits, seconds_side_by_side, to_scored
from training.slices import Aggregate, Articles
from training.steps import Steps
from training.worst_errors import add_worst_errors

Say = Callable[[str], None]
Splits = Mapping[str, Sequence[Example]]

TIMED_PASSAGES = 300  # to compare the time of two models: some seconds a turn


@dataclass(frozen=True)
class Candidate:
    """One seed's model: where it lies (None for the baseline), its logits by split, seconds per 1,000 passages."""

    seed: int
    bundle: Path | None
    scored: dict[str, Scored]
    seconds: float | None


@dataclass(frozen=True)
class RunResult:
    """What a run came to: the evaluation report, the chosen model folder, the gate's decision."""

    report: dict[str, Any]
    bundle: Path | None
    decision: Decision | None
    folder: Path


def run(config: RunConfig, say: Say = print) -> RunResult:
    """Do a retraining run. Raises CorpusError, ConfigError or ExportError before anything is registered."""
    from training.corpus_checks import check_examples
    from training.store import use_tracking
    from training.tracking import start_run

    try:
        config.gate.require_main({split: list(config.tasks) for split in config.data.split.tests})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    splits = load_examples(config)
    check_examples(config, splits).raise_if_failed()
    digest = corpus_digest(splits)
    sizes = {split: len(rows) for split, rows in splits.items()}
    say(f"corpus {digest[:12]}: " + ", ".join(f"{split} {size:,}" for split, size in sizes.items()))
    use_tracking(config.registry.tracking_uri)
    steps = Steps(config.work / config.name, say)
    with start_run(config, corpus_digest=digest, split_sizes=sizes) as tracked:
        candidates = []
        for seed in config.seeds:
            with tracked.seed(seed) as log:
                candidates.append(train_candidate(config, seed, splits, digest, steps, log))
        chosen = choose_candidate(config, candidates)
        say(f"seed {chosen.seed} chosen on {config.data.split.validation}")
        calibration, report, rule = judge(config, splits, chosen)
        report["seeds"] = seed_summary(config, candidates)
        folder = steps.folder / "result"
        plots = write_results(folder, report, calibration, chosen)
        errors = [
            row
            for split in report["splits"].values()
            for task in split["tasks"].values()
            for row in task.get("worst", [])
        ]
        evidence = Evidence(tests_of(config, chosen.scored), calibration, report, cost_of(chosen))
        tracked.log_report(evidence, to_markdown(report), plots, errors)
        if chosen.bundle is None:
            return RunResult(report, None, None, folder)
        bundle = finish_bundle(config, chosen, calibration, report, rule, digest, splits, folder, say)
        decision = None
        if config.registry.register_model:
            decision = register_and_decide(config, tracked, bundle, splits, evidence, say)
        if config.export.folder is not None:
            shutil.rmtree(config.export.folder, ignore_errors=True)
            shutil.copytree(bundle, config.export.folder)
            say(f"model folder written to {config.export.folder}")
    return RunResult(report, bundle, decision, folder)


def train_candidate(
    config: RunConfig,
    seed: int,
    splits: Splits,
    digest: str,
    steps: Steps,
    log: Callable[[int, dict[str, float]], None],
) -> Candidate:
    """Train one seed and score validation and tests with it; a transformer goes through its exported graph."""
    held_out = {name: rows for name, rows in splits.items() if name != config.data.split.train}
    if config.model.kind == "tfidf":
        model = Baseline(config, seed).fit(splits[config.data.split.train])
        scored = {name: to_scored(config, rows, model.logits(rows)) for name, rows in held_out.items()}
        return Candidate(seed, None, scored, None)

    def train(folder: Path) -> None:
        from training.finetune import finetune

        train_rows, validation = splits[config.data.split.train], splits[config.data.split.validation]
        finetune(config, seed, train_rows, validation, folder, log)

    def accompany(folder: Path) -> None:
        from training.companion import fit_beside

        train_rows, validation = splits[config.data.split.train], splits[config.data.split.validation]
        shares = fit_beside(config, trained / "checkpoint", train_rows, validation, folder)
        log(0, {f"companion_share_{task}": share for task, share in shares.items()})

    def export(folder: Path) -> None:
        from training.export import export_checked, uncalibrated, write_bundle

        checked = export_checked(
            trained / "checkpoint",
            folder / "model.onnx",
            config.export.max_logit_difference,
            config.model.max_length,
            companion,
        )
        write_bundle(
            config, trained / "checkpoint", folder / "model.onnx", folder / "bundle", uncalibrated(config), {}, {}
        )
        (folder / "parity.json").write_text(json.dumps(asdict(checked)), encoding="utf-8")

    shaping = {"seed": seed, "corpus": digest, **config.model_dump(include={"tasks", "model", "train"}, mode="json")}
    shaping["model"]["encoder"] = encoder_digest(config)  # its content counts, wherever it lies
    beside = shaping["model"].pop("companion")  # fitted after the encoder: it does not shape the training
    trained = steps.do(f"train-{seed}", shaping, train)
    companion = None
    if beside is not None:
        shaping["companion"] = beside
        companion = steps.do(f"companion-{seed}", shaping, accompany) / "companion.safetensors"
    exported = steps.do(f"export-{seed}", {**shaping, "limit": config.export.max_logit_difference}, export)
    scored, seconds = {}, 0.0
    for name, rows in held_out.items():
        logits, seconds = bundle_logits(exported / "bundle", rows)
        scored[name] = to_scored(config, rows, logits)
    return Candidate(seed, exported / "bundle", scored, seconds)


def encoder_digest(config: RunConfig) -> str:
    """The digest of a local encoder's weights; a hub encoder goes by its name."""
    weights = Path(str(config.model.encoder)) / "model.safetensors"
    return file_digest(weights) if weights.is_file() else str(config.model.encoder)


def choose_candidate(config: RunConfig, candidates: Sequence[Candidate]) -> Candidate:
    """The seed with the best mean macro-F1 over tasks on validation; tests have no say."""
    from sklearn.metrics import f1_score

    def quality(candidate: Candidate) -> float:
        rows = candidate.scored[config.data.split.validation]
        scores = []
        for task in rows.tasks:
            known = rows.gold[task] >= 0
            scores.append(f1_score(rows.gold[task][known], rows.predicted(task)[known], average="macro"))
        return float(np.mean(scores))

    return max(candidates, key=quality)


def tests_of(config: RunConfig, scored: Mapping[str, Scored]) -> dict[str, Scored]:
    """The test splits alone."""
    return {name: scored[name] for name in config.data.split.tests}


def judge(config: RunConfig, splits: Splits, candidate: Candidate) -> tuple[Calibration, dict[str, Any], Rule]:
    """Calibrate and choose the article rule on validation, then evaluate on the tests."""
    validation = config.data.split.validation
    limits = config.calibration
    calibration = fit_calibration(candidate.scored[validation], limits.risk, limits.confidence)
    rule: Rule = ArticleRule()
    compared: dict[str, list[Trial]] = {}
    aggregates: dict[str, Aggregate] = {}
    articles: dict[str, dict[str, Articles]] = {}
    for task, content in config.tasks.items():
        if content.plus is None:
            continue
        gold = {name: article_gold(splits[name], task, content) for name in candidate.scored}
        chosen, compared[task] = choose_rule(
            splits[config.data.split.train],
            splits[validation],
            candidate.scored[validation],
            task,
            content,
            calibration.temperatures[task],
        )
        if task == next(iter(config.tasks)):
            rule = chosen
        aggregates[task] = aggregate_by(chosen, content)
        for name in config.data.split.tests:
            if gold[name].label:
                articles.setdefault(name, {})[task] = gold[name]
    report = evaluate(
        tests_of(config, candidate.scored),
        calibration,
        invariance=config.data.invariance,
        articles=articles,
        aggregates=aggregates,
    )
    report["article_rules"] = rules_table(compared)
    add_worst_errors(report, splits, validation, candidate.scored[validation], calibration)
    return calibration, report, rule


def seed_summary(config: RunConfig, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Macro-F1 of every seed on every test: what one run may differ from another."""
    from sklearn.metrics import f1_score

    rows = []
    for candidate in candidates:
        for name, scored in tests_of(config, candidate.scored).items():
            for task in scored.tasks:
                known = scored.gold[task] >= 0
                value = f1_score(scored.gold[task][known], scored.predicted(task)[known], average="macro")
                rows.append({"seed": candidate.seed, "split": name, "task": task, "macro_f1": float(value)})
    return rows


def cost_of(candidate: Candidate) -> Cost:
    """What the model costs: bytes of its graphs, seconds per 1,000 passages here."""
    if candidate.bundle is None:
        return Cost(0, None)
    return Cost(graph_bytes(candidate.bundle), candidate.seconds)


def graph_bytes(folder: Path) -> int:
    """The size of a model folder's graphs, all precisions together."""
    return sum(path.stat().st_size for path in folder.glob("*.onnx"))


def write_results(folder: Path, report: dict[str, Any], calibration: Calibration, candidate: Candidate) -> list[Path]:
    """The evaluation on disk: JSON, Markdown, plots, scored rows."""
    from training.illustrate import plot_report

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (folder / "report.md").write_text(to_markdown(report), encoding="utf-8")
    (folder / "calibration.json").write_text(json.dumps(calibration.to_dict(), indent=1), encoding="utf-8")
    for name, scored in candidate.scored.items():
        scored.save(folder / f"scored-{name}.parquet")
    return plot_report(report, folder / "plots")


def finish_bundle(
    config: RunConfig,
    candidate: Candidate,
    calibration: Calibration,
    report: dict[str, Any],
    rule: Rule,
    digest: str,
    splits: Splits,
    folder: Path,
    say: Say,
) -> Path:
    """The chosen model as a folder with calibration, facts, card and, where it is asked for and right, int8."""
    from training.card import model_card, model_facts
    from training.export import write_bundle

    assert candidate.bundle is not None
    sizes = {split: len(rows) for split, rows in splits.items()}
    facts = model_facts(config, report, digest, sizes, candidate.seed)
    checkpoint = config.work / config.name / f"train-{candidate.seed}" / "checkpoint"
    target = folder / "bundle"
    graph = candidate.bundle / "model.onnx"
    write_bundle(config, checkpoint, graph, target, calibration.to_dict(), asdict(rule), facts)
    if config.export.int8 is not None:
        from training.quantise import QuantiseError, add_int8

        tests = [row for split in config.data.split.tests for row in splits[split]]
        train, validation = splits[config.data.split.train], splits[config.data.split.validation]
        try:
            found = add_int8(target, train, validation, tests, config.export.int8)
        except QuantiseError as error:
            say(str(error))
        else:
            say(f"int8: {found.to_text()}")
            facts["int8"] = {"tests": asdict(found)}
    (target / "README.md").write_text(model_card(config, facts, report), encoding="utf-8")
    return target


def register_and_decide(
    config: RunConfig, tracked: Any, bundle: Path, splits: Splits, evidence: Evidence, say: Say
) -> Decision:
    """Register the challenger, score the champion on the same rows with the same code, decide, settle."""
    from training import promotion, registry

    # The input example travels with the model: two sentences of nobody's corpus.
    examples = ["La fédération salue la levée des quotas.", "Le décret a été publié mardi."]
    pairs = ["Faut-il lever les quotas ?"] * 2 if config.data.columns.pair else None
    version = registry.register(tracked, bundle, examples, pairs)
    champion = promotion.champion(config.registry.model)
    against = None
    if champion:
        former = registry.fetch_model(champion.uri)
        against = champion_evidence(config, splits, former)
        some = splits[config.gate.main_split][:TIMED_PASSAGES]
        new, old = seconds_side_by_side([bundle, former], some)
        evidence = replace(evidence, cost=Cost(graph_bytes(bundle), new))
        against = replace(against, cost=Cost(graph_bytes(former), old))
    decision = decide(evidence, against, config.gate)
    say(decision.to_text())
    line = promotion.settle(version, decision, against=champion, allow=config.registry.promote)
    say(f"{version.uri}: {line.what}")
    return decision


def champion_evidence(config: RunConfig, splits: Splits, folder: Path) -> Evidence:
    """The champion's answers on this run's tests: rows may have changed since it was made, so it is scored anew."""
    calibration = Calibration.from_dict(
        json.loads((folder / "penchant.json").read_text(encoding="utf-8"))["calibration"]
    )
    scored, seconds = {}, 0.0
    for name in config.data.split.tests:
        logits, seconds = bundle_logits(folder, splits[name], FULL)  # as the challenger: the same on any processor
        scored[name] = to_scored(config, splits[name], logits)
    report = evaluate(scored, calibration, invariance=config.data.invariance)
    cost = cost_of(Candidate(0, folder, scored, seconds))
    return Evidence(scored=scored, calibration=calibration, report=report, cost=cost)
