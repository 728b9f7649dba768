"""The evaluation report as Markdown: one headline table, then per split and task its details."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.evaluate import Report
from training.slices import MIN_ROWS


def _number(leaf: Mapping[str, Any] | None) -> str:
    if leaf is None or leaf["value"] is None:
        return "–"
    spread = "" if leaf["low"] is None else f" ({leaf['low']:.3f}–{leaf['high']:.3f})"
    return f"{leaf['value']:.3f}{spread}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def to_markdown(report: Report) -> str:
    """The report as Markdown: one headline table, then per split and task its details. Ends with a newline."""
    settings = report["settings"]
    share = f"{settings['confidence']:.0%}".replace("%", " %")
    head = ["split", "task", "rows", "macro-F1", "majority", "accuracy", "ECE", "accuracy at 80 %", "AURC"]
    lines, details = [], []
    for split, content in report["splits"].items():
        for task, found in content["tasks"].items():
            if not found["n"]:
                lines.append([split, task, 0, *["–"] * 6])
                continue
            selective = found["selective"]
            numbers = [
                found["accuracy"],
                found["calibration"]["ece"],
                selective["accuracy_at"]["0.8"],
                selective["aurc"],
            ]
            majority = f"{found['majority_macro_f1']:.3f}"
            lines.append([split, task, found["n"], _number(found["macro_f1"]), majority, *map(_number, numbers)])
            details += [f"## {split}: {task}", *_details(found)]
    note = (
        f"Intervals: {share}, {settings['resamples']} bootstrap resamples of whole groups. ECE: expected calibration "
        "error in 15 bins of equal width, after temperature scaling. AURC: area under the risk-coverage curve, lower "
        "is better."
    )
    return "\n\n".join(["# Evaluation", _table(head, lines), note, *details, *_of_the_run(report)]) + "\n"


def _of_the_run(report: Report) -> Iterator[str]:
    """What a retraining run adds: the article rules it compared, and validation's errors to learn from."""
    if report.get("article_rules"):
        yield "## Article rules compared"
        yield _table(
            ["task", "rule", "right, resampled articles", "right, validation articles", "numbers"],
            [
                [
                    row["task"],
                    row["kind"],
                    f"{row['resampled']:.3f}",
                    f"{row['validation']:.3f} of {row['articles']}",
                    ", ".join(f"{name} {value:.3g}" for name, value in row["numbers"].items()),
                ]
                for row in report["article_rules"]
            ],
        )
    for task, rows in report.get("validation_errors", {}).items():
        yield f"## validation: {task}, most confident errors"
        yield _errors(rows)


def _errors(rows: Sequence[Mapping[str, Any]]) -> str:
    keys = [
        "id",
        "gold",
        "predicted",
        "confidence",
        *(["phenomenon", "text"] if any("text" in row for row in rows) else []),
    ]
    cells = [[f"{row[key]:.3f}" if key == "confidence" else row.get(key, "") for key in keys] for row in rows]
    return _table(keys, cells)


def _details(found: Mapping[str, Any]) -> Iterator[str]:
    scores = [[name, *map(_number, one.values()), one["f1"]["n"]] for name, one in found["classes"].items()]
    yield _table(["label", "precision", "recall", "F1", "gold rows"], scores)
    labels, counts = found["confusion"]["labels"], found["confusion"]["counts"]
    yield _table(["gold ↓ predicted →", *labels], [[name, *row] for name, row in zip(labels, counts, strict=True)])
    calibration, selective = found["calibration"], found["selective"]
    measures = [["calibration error", _number(calibration["ece"])]]
    measures.append(["calibration error, bins of equal counts", _number(calibration["adaptive_ece"])])
    measures.append(["Brier score", _number(calibration["brier"])])
    measures.append(["log-loss (nats)", _number(calibration["log_loss"])])
    for coverage, leaf in selective["accuracy_at"].items():
        measures.append([f"accuracy at {float(coverage):.0%} coverage".replace("%", " %"), _number(leaf)])
    measures.append(["coverage at the abstention threshold", _number(selective["kept"]["coverage"])])
    measures.append(["accuracy at the abstention threshold", _number(selective["kept"]["accuracy"])])
    if "articles" in found:
        articles = found["articles"]
        measures.append([f"articles right (of {articles['accuracy']['n']})", _number(articles["accuracy"])])
        measures.append(["mean absolute error of the article index", _number(articles["index_error"])])
    yield _table(["measure", "value"], measures)
    sets = [
        [kind, name, leaf["n"], _number(leaf)]
        for key, kind in (("contrast", "contrast: every member right"), ("invariance", "invariance: label unchanged"))
        for name, leaf in (("all", found[key]["all"]), *found[key]["by_phenomenon"].items())
        if leaf["n"]
    ]
    if sets:
        yield _table(["groups", "phenomenon", "n", "share"], sets)
    for facet, values in found["slices"].items():
        measured = {name: one for name, one in values.items() if "accuracy" in one}
        weakest = sorted(measured, key=lambda name: measured[name]["accuracy"]["value"])
        if measured:
            yield _table(
                [facet, "rows", "accuracy", "macro-F1"],
                [
                    [name, *map(_cell, (measured[name][key] for key in ("n", "accuracy", "macro_f1")))]
                    for name in weakest
                ],
            )
        small = [f"{name} ({one['n']})" for name, one in values.items() if name not in measured]
        if small:
            yield f"Under {MIN_ROWS} rows, not measured, {facet}: {', '.join(small)}."
    if found["worst"]:
        yield "Most confident errors:"
        yield _errors(found["worst"])


def _cell(value: Any) -> object:
    return value if isinstance(value, int) else _number(value)
