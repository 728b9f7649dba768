"""The promotion gate: does a challenger replace the champion? Decided by evidence on the same frozen test rows.

A challenger is promoted when its main macro-F1 is better, or equal and it is cheaper, and nothing else falls. The rule
for "falls" is one throughout: a measure has fallen when it is worse than the champion's by **more than its margin**
and the fall **stands out from the noise** of the rows it was measured on, by a one-sided paired bootstrap over groups
at ``noise_level``. The margin alone would refuse an equal challenger for a handful of rows in one of eighty small
slices; the test alone would refuse it for a tenth of a point on large ones. Slices are many, so their p-values are
corrected for the false discovery rate over all that were compared (Benjamini & Hochberg 1995): when nothing fell, a
slice refuses with probability ``noise_level`` at most. ``noise_level: 1`` makes every fall beyond its margin count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from training.calibrate import expected_calibration_error
from training.compare import (
    Difference,
    accuracy_difference,
    align,
    calibration_error_difference,
    macro_f1_difference,
    share_difference,
)
from training.evidence import Cost, Criterion, Decision, Evidence, Verdict
from training.metrics import Resampling, Scored, classification
from training.slices import all_right, contrast_sets, cut, invariance_sets, unchanged

__all__ = ["Cost", "Criterion", "Decision", "Evidence", "FirstModelFloors", "GateConfig", "decide"]

Share = Annotated[float, Field(ge=0, le=1)]

#: A fall of exactly the margin is within it, whatever the last binary digit says.
ROUNDING = 1e-9


class FirstModelFloors(BaseModel):
    """What a model must clear when there is no champion yet, for every task of the main split.

    Macro-F1, by the low end of its interval: above what the most frequent label earns, and above what guessing in the
    gold proportions earns (1 / number of labels), by ``margin_over_guessing``. Calibration error: at most ``max_ece``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin_over_guessing: Share = 0.05
    max_ece: Share = 0.15


class GateConfig(BaseModel):
    """The margins of promotion; shares are of 1 (0.02 is two points).

    ``require_better``: being equal and cheaper is not enough. ``equivalence_margin``: how far below zero the interval
    of the difference may reach for "equal", and how far macro-F1 of another split or task may fall. ``min_saving``: the
    share of time or size that makes a model cheaper, while the other must not grow by as much. A slice is compared
    from ``min_slice_rows`` rows in ``min_slice_groups`` groups on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    main_split: str = "unseen"
    main_task: str = "stance"
    require_better: bool = False
    equivalence_margin: Share = 0.02
    min_saving: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_slice_drop: Share = 0.05
    min_slice_rows: Annotated[int, Field(ge=1)] = 30
    min_slice_groups: Annotated[int, Field(ge=2)] = 8
    max_contrast_drop: Share = 0.05
    max_invariance_drop: Share = 0.03
    max_ece_rise: Share = 0.03
    max_slowdown: Annotated[float, Field(ge=1)] = 1.5
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    noise_level: Annotated[float, Field(gt=0, le=1)] = 0.1
    resamples: Annotated[int, Field(ge=200)] = 5000
    seed: int = 0
    first: FirstModelFloors = FirstModelFloors()

    def require_main(self, splits: dict[str, list[str]]) -> None:
        """Raise ValueError where the main split or task is not among ``splits`` (test split to its tasks).

        Call it before anything is trained: a misnamed split should not cost a run.
        """
        if self.main_split not in splits:
            raise ValueError(
                f"gate.main_split is {self.main_split!r}, the test splits are {list(splits)}; set it to one"
            )
        if self.main_task not in splits[self.main_split]:
            raise ValueError(
                f"gate.main_task is {self.main_task!r}, the tasks are {splits[self.main_split]}; set it to one"
            )


def decide(challenger: Evidence, champion: Evidence | None, config: GateConfig) -> Decision:
    """Promote or refuse ``challenger``; without a champion it must clear the first model's floors.

    A criterion that could not be measured (no invariance groups, no timing) does not refuse, and says so. The
    phenomena under which no label should change are those of the challenger's report.

    Raises ValueError where the main split or task is missing, or the two were not scored on the same rows.
    """
    config.require_main({split: list(rows.tasks) for split, rows in challenger.scored.items()})
    if not (challenger.scored[config.main_split].gold[config.main_task] >= 0).any():
        raise ValueError(f"split {config.main_split!r} has no gold label of {config.main_task!r}; nothing to decide by")
    criteria = tuple(_floors(challenger, config) if champion is None else _against(challenger, champion, config))
    failed = [criterion.name for criterion in criteria if criterion.verdict == "fail"]
    if failed:
        return Decision(False, f"refused: {', '.join(failed[:4])}{' …' if len(failed) > 4 else ''}", criteria)
    return Decision(True, f"promoted: {criteria[0].reason}", criteria)


def _verdict(passed: bool) -> Verdict:
    return "pass" if passed else "fail"


def _floors(challenger: Evidence, config: GateConfig) -> Iterator[Criterion]:
    how = Resampling(config.resamples, config.confidence, config.seed)
    split, ceiling = config.main_split, config.first.max_ece
    for task in (config.main_task, *(task for task in challenger.scored[split].tasks if task != config.main_task)):
        rows = challenger.scored[split].with_gold(task)
        if len(rows) == 0:
            continue
        found = classification(rows, task, how)
        value, low = found["macro_f1"]["value"], found["macro_f1"]["low"]
        guessing = max(found["majority_macro_f1"], 1.0 / len(rows.labels[task]))
        floor = guessing + config.first.margin_over_guessing
        bound = "it has no interval (fewer than two groups)" if low is None else f"its interval begins at {low:.3f}"
        reason = f"first model: {task} macro-F1 {value:.3f}, {bound}; guessing earns {guessing:.3f}"
        passed = _verdict(low is not None and low > floor)
        yield Criterion("floor", f"{task} macro-F1, {split}", value, None, floor, passed, reason)
        right = (rows.predicted(task) == rows.gold[task]).astype(float)
        confidence = rows.probabilities(task, challenger.calibration.temperatures[task]).max(axis=1)
        error = expected_calibration_error(confidence, right)
        reason = f"first model: {task} calibration error is {'within' if error <= ceiling else 'above'} its ceiling"
        name = f"{task} calibration error, {split}"
        yield Criterion("calibration", name, error, None, ceiling, _verdict(error <= ceiling), reason)


@dataclass(frozen=True)
class _Pair:
    """Both models on the rows of one split that have gold for one task, in the same order."""

    split: str
    task: str
    challenger: Scored
    champion: Scored
    temperatures: tuple[float, float]


def _pairs(challenger: Evidence, champion: Evidence) -> Iterator[_Pair]:
    for split, rows in challenger.scored.items():
        if split not in champion.scored:
            raise ValueError(
                f"the champion was not scored on split {split!r}; score it on the challenger's test splits"
            )
        other = align(rows, champion.scored[split])
        for task in rows.tasks:
            labelled = rows.gold[task] >= 0
            if labelled.any():
                temperatures = (challenger.calibration.temperatures[task], champion.calibration.temperatures[task])
                yield _Pair(split, task, rows.select(labelled), other.select(labelled), temperatures)


def _against(challenger: Evidence, champion: Evidence, config: GateConfig) -> Iterator[Criterion]:
    how = Resampling(config.resamples, config.confidence, config.seed)
    pairs = list(_pairs(challenger, champion))
    main = next(pair for pair in pairs if (pair.split, pair.task) == (config.main_split, config.main_task))
    yield _quality(main, challenger.cost, champion.cost, config, how)
    for pair in pairs:
        if pair is not main:
            difference = macro_f1_difference(pair.challenger, pair.champion, pair.task, how)
            name = f"{pair.task} macro-F1, {pair.split}"
            yield _fall("overall", name, difference, config.equivalence_margin, config.noise_level)
    yield from _sets(pairs, challenger.report["settings"]["invariance"], config, how)
    for pair in pairs:
        error = calibration_error_difference(pair.challenger, pair.champion, pair.task, pair.temperatures, how)
        name, margin = f"{pair.task} calibration error, {pair.split}", config.max_ece_rise
        yield _fall("calibration", name, error, margin, config.noise_level, lower_is_worse=False)
    yield _speed(challenger.cost, champion.cost, config)
    yield from _slices(pairs, config, how)


def _cheaper(challenger: Cost, champion: Cost, saving: float) -> str | None:
    """What makes the challenger cheaper, in words, or None."""
    size = challenger.size_bytes / max(1, champion.size_bytes)
    times = (challenger.seconds_per_1000_passages, champion.seconds_per_1000_passages)
    if times[0] is None or times[1] is None or times[1] <= 0:
        return None
    time = times[0] / times[1]
    if min(size, time) <= 1.0 - saving and max(size, time) < 1.0 + saving:
        return f"{time:.2f} × the time and {size:.2f} × the size"
    return None


def _quality(pair: _Pair, cost: Cost, former: Cost, config: GateConfig, how: Resampling) -> Criterion:
    """Better with the interval above zero, or equal within the margin and cheaper."""
    name, one = (
        f"{pair.task} macro-F1, {pair.split}",
        macro_f1_difference(pair.challenger, pair.champion, pair.task, how),
    )
    if one.low is None or one.high is None:
        reason = "no interval from fewer than two groups of rows, so nothing is shown"
        return Criterion("quality", name, one.a, one.b, one.b, "fail", reason)
    interval = f"{pair.task} macro-F1 {one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
    if one.low > 0:
        return Criterion("quality", name, one.a, one.b, one.b, "pass", f"better: {interval}")
    if one.low <= -config.equivalence_margin:
        reason = f"neither better nor shown equal within {config.equivalence_margin:.3f}: {interval}"
        return Criterion("quality", name, one.a, one.b, one.b, "fail", reason)
    if config.require_better:
        return Criterion("quality", name, one.a, one.b, one.b, "fail", f"equal, but better is required: {interval}")
    saving, limit = _cheaper(cost, former, config.min_saving), one.b - config.equivalence_margin
    if saving is None:
        return Criterion("quality", name, one.a, one.b, limit, "fail", f"equal, but not cheaper: {interval}")
    return Criterion("quality", name, one.a, one.b, limit, "pass", f"equal and cheaper ({saving}): {interval}")


def _fall(
    kind: str,
    name: str,
    one: Difference,
    margin: float,
    level: float,
    lower_is_worse: bool = True,
) -> Criterion:
    """The rule of this module for a measure that must not get worse by more than its margin."""
    worse, p_value = (-one.difference, one.p_lower) if lower_is_worse else (one.difference, one.p_higher)
    limit = one.b - margin if lower_is_worse else one.b + margin
    if worse <= margin + ROUNDING:
        verdict, reason = _verdict(True), f"{one.difference:+.3f} keeps within the margin of {margin:.3f}"
    elif p_value is None:
        verdict, reason = "not measured", f"{one.difference:+.3f}, but fewer than two groups of rows"
    elif p_value > level:
        verdict = _verdict(True)
        reason = f"{one.difference:+.3f} is beyond the margin but within the noise of {one.n} units (p {p_value:.3f})"
    else:
        verdict = _verdict(False)
        reason = f"{one.difference:+.3f} over {one.n} units is beyond the margin of {margin:.3f} (p {p_value:.3f})"
    return Criterion(kind, name, one.a, one.b, limit, verdict, reason)


def _sets(pairs: list[_Pair], invariance: list[str], config: GateConfig, how: Resampling) -> Iterator[Criterion]:
    for kind, margin in (("contrast", config.max_contrast_drop), ("invariance", config.max_invariance_drop)):
        measured = False
        find, hold = (contrast_sets, all_right) if kind == "contrast" else (invariance_sets, unchanged)
        for pair in pairs:
            sets = find(pair.challenger, pair.task, invariance)
            if sets:
                measured = True
                held = [hold(sets, scored, pair.task) for scored in (pair.challenger, pair.champion)]
                name = f"{pair.task} {kind} groups, {pair.split}"
                yield _fall(kind, name, share_difference(sets, held[0], held[1], how), margin, config.noise_level)
        if not measured:
            yield Criterion(
                kind, f"{kind} groups", None, None, None, "not measured", f"the tests hold no {kind} groups"
            )


def _speed(challenger: Cost, champion: Cost, config: GateConfig) -> Criterion:
    name = "seconds per 1,000 passages"
    new, old = challenger.seconds_per_1000_passages, champion.seconds_per_1000_passages
    if new is None or old is None or old <= 0:
        return Criterion("speed", name, new, old, None, "not measured", "one of the two models was not timed")
    limit, reason = (
        old * config.max_slowdown,
        f"{new / old:.2f} × the champion's time, {config.max_slowdown:.2f} is allowed",
    )
    return Criterion("speed", name, new, old, limit, _verdict(new <= limit), reason)


def _slices(pairs: list[_Pair], config: GateConfig, how: Resampling) -> Iterator[Criterion]:
    """Accuracy of every slice, which means the same whatever labels a slice holds; small ones in one line a facet."""
    from scipy.stats import false_discovery_control

    compared: list[tuple[str, str, Scored, Scored]] = []
    small: dict[str, list[str]] = {}
    for pair in pairs:
        for facet, value, index in cut(pair.challenger):
            place = f"{pair.task} accuracy, {pair.split}, {facet}"
            groups = len({pair.challenger.groups[row] for row in index})
            if len(index) < config.min_slice_rows or groups < config.min_slice_groups:
                small.setdefault(place, []).append(f"{value} ({len(index)})")
            else:
                rows = pair.challenger.select(index), pair.champion.select(index)
                compared.append((f"{place}={value}", pair.task, *rows))
    # A p-value cannot be under 1 / resamples: draw enough for a single one to survive the correction.
    how = replace(how, resamples=max(how.resamples, ceil(20 * len(compared) / config.noise_level)))
    differences: list[Difference] = []
    for _, task, challenger, champion in compared:
        difference = accuracy_difference(challenger, champion, task, replace(how, resamples=0))
        if -difference.difference > config.max_slice_drop:  # only then does the noise matter
            difference = accuracy_difference(challenger, champion, task, how)
        differences.append(difference)
    p_values = [1.0 if one.p_lower is None else one.p_lower for one in differences]
    corrected = false_discovery_control(p_values) if p_values else []
    for (name, *_), difference, p_value in zip(compared, differences, corrected, strict=True):
        one = replace(difference, p_lower=float(p_value))
        yield _fall("slice", name, one, config.max_slice_drop, config.noise_level)
    for place, values in small.items():
        reason = f"fewer than {config.min_slice_rows} rows or {config.min_slice_groups} groups: {', '.join(values)}"
        yield Criterion("slice", place, None, None, None, "not measured", reason)
