"""Is this machine fit to score? Versions, processor, model, a self-test, temporary folder and terminal, one by one.

A check never raises: what goes wrong in it is its answer. Nothing is written but one temporary file, nothing fetched.
"""

from __future__ import annotations

import math
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.text import Text

    from inference.bundle import Bundle
    from inference.classifier import Classifier, Prediction

State = Literal["ok", "warn", "fail"]

#: What scoring needs, as the project file asks for it; a test keeps the two alike.
PYTHON = ">=3.11"
LIBRARIES = {
    "charset-normalizer": ">=3.4",
    "jinja2": ">=3.1.6",
    "numpy": ">=2.1",
    "onnxruntime": ">=1.23",
    "pyarrow": ">=21,<26",
    "pydantic": ">=2.11,<3",
    "pyyaml": ">=6.0.2",
    "rich": ">=14",
    "sentencex": ">=1.0.32,<2",
    "tokenizers": ">=0.22",
    "typer": ">=0.29",
}

#: Two sentences of different length, so that they are padded apart and together.
SENTENCES = (
    "La fédération du textile salue la levée des quotas.",
    "Faute de contrôle à la sortie du territoire, prévient la rapporteuse de la commission, ces machines-outils "
    "finiront tôt ou tard dans une usine d'armement, et nul ne saura plus dire qui les y a menées.",
)

#: Signs that results print: accents, guillemets, dashes, the ellipsis and the minus sign.
SIGNS = "éÉœ«»’–—…−"

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``detail`` says what was found; ``mend`` what to do about it, empty where nothing is amiss."""

    name: str
    state: State
    detail: str
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding in plain types, as JSON holds them."""
        return asdict(self)


def examine(model: Path | None = None) -> list[Check]:
    """All checks, in a fixed order; ``model`` is a model folder, by default the shipped one.

    ``fail`` means that scoring does not work or cannot be trusted here, ``warn`` that it works with a reserve. The
    self-test scores :data:`SENTENCES` and, where the model's facts hold ``self_test``, a list of
    ``{"text": …, "<task>": "<label>"}``, those texts too.
    """
    return [
        check_python(platform.python_version()),
        *check_libraries(_installed(LIBRARIES)),
        check_processor(CPUINFO),
        *check_model(model),
        check_temporary(),
        check_terminal(getattr(sys.stdout, "encoding", None)),
    ]


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version, as ``2.4.0rc1``, lies within bounds, as ``>=2.1,<3``; only its leading numbers count."""
    for bound in wanted.split(","):
        match = re.fullmatch(r"(>=|<)([\d.]+)", bound.strip())
        if match is None:
            raise ValueError(f"the bound {bound!r} is not understood; write >=A.B or <A.B")
        have, edge = _numbers(version), _numbers(match[2])
        if (have >= edge) != (match[1] == ">="):
            return False
    return True


def check_python(version: str) -> Check:
    """The interpreter's version."""
    if satisfies(version, PYTHON):
        return Check("python", "ok", f"{version}, {platform.system()} {platform.machine()}")
    return Check("python", "fail", f"{version}, wanted {PYTHON}", f"install Python {PYTHON} and penchant into it")


def check_libraries(installed: Mapping[str, str | None]) -> list[Check]:
    """The version of each library that scoring needs; None where it is missing."""
    checks: list[Check] = []
    for name, version in installed.items():
        wanted = LIBRARIES[name]
        mend = f"pip install '{name}{wanted}'"
        if version is None:
            checks.append(Check(name, "fail", f"not installed, wanted {wanted}", mend))
        elif satisfies(version, wanted):
            checks.append(Check(name, "ok", version))
        else:
            checks.append(Check(name, "fail", f"{version}, wanted {wanted}", mend))
    return checks


def check_processor(cpuinfo: Path) -> Check:
    """What the processor offers to int8 models, read from Linux's ``cpuinfo`` where there is one.

    Without a dot-product instruction onnxruntime adds int8 products in narrower steps, which may saturate: such a
    processor can give other scores than the one on which the model was tested.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    # x86 calls them flags, Arm features; all cores of a machine carry the same line.
    flags = next(
        (set(line.split(":", 1)[1].split()) for line in lines if re.match(r"(flags|Features)\s*:", line)), set()
    )
    vector, dot = flags & {"avx2", "asimd"}, flags & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}
    mend = "compare a few labels with a machine that has them, or use an fp32 model"
    if not flags:
        detail = f"int8 instructions unknown: {platform.system()} {platform.machine()} does not list them"
        return Check("processor", "warn", detail, mend)
    if dot:
        return Check("processor", "ok", f"int8 instructions: {', '.join(sorted(vector | dot))}")
    found = f"only {', '.join(sorted(vector))}" if vector else "none"
    return Check("processor", "warn", f"int8 instructions: {found}; int8 models run slower and may score apart", mend)


def check_model(folder: Path | None) -> list[Check]:
    """The model folder's integrity, then the self-test; a folder that does not open gets no self-test."""
    from inference.bundle import ModelError, open_bundle

    try:
        from inference.classifier import SHIPPED, Classifier

        bundle = open_bundle(folder or SHIPPED)
    except (ModelError, ImportError) as error:
        what, _, mend = str(error).rpartition("; ")
        return [
            Check("model", "fail", what or str(error), mend if what else "install penchant again"),
            Check("self-test", "fail", "not run, since the model does not open", "mend the model first"),
        ]
    tasks = ", ".join(task.name for task in bundle.tasks)
    intact = Check("model", "ok", f"{bundle.name} ({bundle.digest[:12]}), tasks {tasks}; all digests match")
    try:
        return [intact, self_test(Classifier.load(bundle.folder))]
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise here is the finding
        line = " ".join(str(error).split()) or type(error).__name__
        return [intact, Check("self-test", "fail", line, "install onnxruntime and tokenizers again, or another model")]


def self_test(classifier: Classifier) -> Check:
    """Score a few sentences: finite probabilities that sum to 1, the same again and in another order, known labels."""
    mend = "install onnxruntime again or export the model again; do not use these scores"
    expected, flaw = _expected(classifier.bundle)
    if flaw:
        return Check("self-test", "fail", flaw, "export the model again")
    texts = [*SENTENCES, *(text for text, _ in expected)]
    first, again = classifier.predict(texts), classifier.predict(texts)
    turned = classifier.predict(texts[::-1])[::-1]
    if not all(_sound(shares) for prediction in first for shares in prediction.probabilities.values()):
        return Check("self-test", "fail", "probabilities are not finite or do not sum to 1", mend)
    if first != again:
        return Check("self-test", "fail", "the same sentences scored twice give other probabilities", mend)
    if first != turned:
        return Check("self-test", "fail", "the same sentences in another order give other probabilities", mend)
    wrong = _disagreements(first[len(SENTENCES) :], expected)
    if wrong:
        detail = f"{len(wrong)} labels are not those the model was shipped with: {'; '.join(wrong[:3])}"
        return Check("self-test", "fail", detail, "use the fp32 model on this processor, or copy the model again")
    known = f", {sum(len(labels) for _, labels in expected)} labels as expected" if expected else ""
    return Check("self-test", "ok", f"{len(texts)} sentences: sound, repeatable, the same in any order{known}")


def check_temporary() -> Check:
    """Whether a temporary file can be written."""
    mend = "free some space, or set TMPDIR to a folder that can be written"
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"penchant")
            file.flush()
        return Check("temporary folder", "ok", tempfile.gettempdir())
    except OSError as error:
        return Check("temporary folder", "fail", error.strerror or str(error), mend)


def check_terminal(encoding: str | None) -> Check:
    """Whether standard output can show French."""
    try:
        SIGNS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        detail = f"{encoding or 'no encoding'} cannot show all of {SIGNS!a}"
        return Check("terminal", "warn", detail, "set PYTHONUTF8=1, and the terminal to UTF-8")
    return Check("terminal", "ok", f"{encoding}")


def render(checks: list[Check]) -> Text:
    """The findings for a terminal, a line each, with the mend under what is amiss; plain letters beside the colour."""
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    wide = max((len(check.name) for check in checks), default=0)
    shown = Text()
    for check in checks:
        shown.append(f"{check.state:<4}", styles[check.state])
        shown.append(f"  {check.name:<{wide}}  {check.detail}\n")
        if check.mend:
            shown.append(f"{'':{wide + 6}}  {check.mend}\n", "dim")
    shown.rstrip()
    return shown


def _numbers(version: str) -> tuple[int, ...]:
    """``2.10.0rc1`` as (2, 10): closing zeros go, so that 3 and 3.0 are the same."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in match[0].split(".")] if match else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _installed(names: Mapping[str, str]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _sound(shares: Mapping[str, float]) -> bool:
    return all(math.isfinite(share) for share in shares.values()) and math.isclose(sum(shares.values()), 1)


def _expected(bundle: Bundle) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """The texts and labels of the model's ``self_test`` fact; or what is wrong with it."""
    labels = {task.name: task.labels for task in bundle.tasks}
    rows = bundle.facts.get("self_test", [])
    if not isinstance(rows, list):
        return [], "the model's self_test is not a list"
    expected: list[tuple[str, dict[str, str]]] = []
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            return [], f"the model's self_test[{place}] has no text"
        wanted = {key: value for key, value in row.items() if key != "text"}
        for task, label in wanted.items():
            if label not in labels.get(task, ()):
                return [], f"the model's self_test[{place}] expects {task}={label}, which the model does not have"
        expected.append((row["text"], wanted))
    return expected, ""


def _disagreements(predictions: list[Prediction], expected: list[tuple[str, dict[str, str]]]) -> list[str]:
    return [
        f"{task} of {text[:40]!r} is {prediction[task]}, expected {label}"
        for prediction, (text, wanted) in zip(predictions, expected, strict=True)
        for task, label in wanted.items()
        if prediction[task] != label
    ]
