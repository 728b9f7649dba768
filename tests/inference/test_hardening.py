"""What hostile inputs and models must not do: fill the memory, write elsewhere, run in a spreadsheet or in Python."""

from __future__ import annotations

import csv
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference.bundle import ModelError, open_bundle, write_manifest
from inference.classifier import SHIPPED, Classifier
from inference.job import score_articles
from inference.settings import ScoreSettings

ROOT = Path(__file__).parents[2]
SETTINGS = ScoreSettings(quarantine_share=1.0, underlined_passages=0)
PEAK = """
import sys
from inference.articles import list_inputs, read_articles
count = sum(1 for _ in read_articles(list_inputs([sys.argv[1]])))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(count, int(peak.split()[1]) // 1024)
"""


def repeated_value(path: Path) -> None:
    """One value of 8 MB, stored once for 256 rows."""
    once = pa.DictionaryArray.from_arrays(pa.array([0] * 256, pa.int32()), pa.array(["mot " * 2_000_000]))
    pq.write_table(pa.table({"text": once}), path, store_schema=False)


def packed_values(path: Path) -> None:
    """Many values of 8 MB, each stored; packed, they are small."""
    with pq.ParquetWriter(path, pa.schema({"text": pa.string()}), compression="zstd", use_dictionary=False) as writer:
        for group in range(16):
            texts = [f"{group} {n} " + "mot " * 2_000_000 for n in range(8)]
            writer.write_table(pa.table({"text": texts}))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(("bomb", "rows"), [(repeated_value, 256), (packed_values, 128)])
def test_hardening_parquet_bomb_is_read_in_bounded_memory(
    tmp_path: Path, bomb: Callable[[Path], None], rows: int
) -> None:
    path = tmp_path / "bomb.parquet"
    bomb(path)
    assert path.stat().st_size < 2_000_000
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, cwd=ROOT)
    count, peak = map(int, done.stdout.split())
    assert count == rows
    assert peak < 800  # MB; unpacked at once, they take two gigabytes and one


HOSTILE = [
    "../../evil",
    "/etc/cron.d/evil",
    "..",
    "a/../../b",
    "C:\\evil",
    "\u202eevil",
    "evil\n.jsonl",
    "~root",
    "%2e%2e/",
]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_hardening_no_input_names_a_path_that_is_written(tmp_path: Path, form: str) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    rows = [{"id": name, "title": name, "source": name, "text": f"Un quota est levé. {name}"} for name in HOSTILE]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (inputs / "rows.jsonl").write_text(lines, encoding="utf-8")
    (inputs / "..evil.txt").write_text("Titre : ../../evil\nSource : ../evil\n\nUn quota est levé.", encoding="utf-8")
    (inputs / "bad\n name.jsonl").write_text("{", encoding="utf-8")
    before = everything(tmp_path)
    settings = SETTINGS.model_copy(update={"format": form})
    result = score_articles([inputs], tmp_path / "deep" / "out", settings=settings)
    assert result.articles == len(HOSTILE)
    new = everything(tmp_path) - before - {"deep"}
    assert all(name == "deep/out" or name.startswith("deep/out/") for name in new)
    top = {name.split("/")[2] for name in new if name.count("/") >= 2}
    assert top == {".job", "articles", "passages", "articles.index", "manifest.json", "quarantine.jsonl", "report.html"}


def test_hardening_csv_holds_no_formula_in_any_column(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://x";"y")'
    row = {"id": "=1+1", "title": "@SUM(A1)", "source": "+33", "topic": "-2", "text": f"{formula} Un quota est levé."}
    (tmp_path / "in.jsonl").write_text(json.dumps(row), encoding="utf-8")
    settings = SETTINGS.model_copy(update={"format": "csv"})
    score_articles([tmp_path / "in.jsonl"], tmp_path / "out", settings=settings)
    for table in ("passages", "articles"):
        with (tmp_path / "out" / table / "part-00000.csv").open(newline="", encoding="utf-8") as file:
            for cells in csv.DictReader(file):
                for name in ("article_id", "title", "source", "topic", "text"):
                    assert cells.get(name, "'")[0] == "'", name


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.proof),))


def hostile_model(folder: Path, names: list[str], proof: Path, **changes: Any) -> Path:
    """A copy of the shipped model with pickles under ``names``, and a manifest whose digests match them."""
    folder.mkdir()
    content = json.loads((SHIPPED / "penchant.json").read_text(encoding="utf-8"))
    for name in content["files"]:
        (folder / name).write_bytes((SHIPPED / name).read_bytes())
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Evil(proof)))
    write_manifest(folder, {**{key: value for key, value in content.items() if key != "files"}, **changes})
    return folder


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", "tokenizer_config.json"])
def test_hardening_pickle_in_place_of_a_model_file_is_refused_and_never_run(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "proof"
    folder = hostile_model(tmp_path / "model", [name], proof)
    with pytest.raises(ModelError):
        Classifier.load(folder, threads=1, precision="fp32")
    assert not proof.exists()
    pickle.loads((folder / name).read_bytes())
    assert proof.exists()  # it would have run


@pytest.mark.parametrize("name", ["extra.pkl", "model.joblib", "pytorch_model.bin", "weights.pt"])
def test_hardening_pickle_beside_a_model_is_never_opened(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "proof"
    folder = hostile_model(tmp_path / "model", [name], proof)
    Classifier.load(folder, threads=1).predict(["Un quota est levé."])
    assert not proof.exists()


def test_hardening_graph_must_lie_in_the_folder_under_a_digest(tmp_path: Path) -> None:
    (tmp_path / "outside.onnx").write_bytes((SHIPPED / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"outside\.onnx"):
        open_bundle(hostile_model(tmp_path / "model", [], tmp_path / "proof", graph="../outside.onnx", graphs={}))
