"""int8: independent of company and padding, gated, and nothing left behind where the gate says no."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.batches import Batch
from inference.bundle import ModelError
from inference.classifier import Classifier
from inference.precision import has_dot_products
from tests.training.rotary_checkpoint import make_folder, save_checkpoint
from training import quantise
from training.config import Int8Config
from training.corpus import Example
from training.export import halve_weights, trace_graph
from training.quantise import GRAPH, Comparison, QuantiseError, add_int8, smoothing, unspared
from training.surgery import fuse

STRICT = Int8Config(agreement=0.5, macro_f1_loss=1.0, speed=1000)
LAX = Int8Config(agreement=0.5, macro_f1_loss=1.0, speed=0.0)
WORDS = ("le décret", "ouvre", "puis", "ferme", "la vente", "des capteurs", "et des tours", "vers les ports", "du sud")


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(3, 60))).capitalize() + "." for _ in range(count)]


def examples(count: int, seed: int) -> list[Example]:
    chance = random.Random(seed)
    return [
        Example(
            str(n), text, None, str(n), "train", {"stance": chance.randrange(3), "tone": chance.randrange(-1, 2)}, {}
        )
        for n, text in enumerate(texts(count, seed))
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    checkpoint = save_checkpoint(folder / "checkpoint")
    trace_graph(checkpoint, folder / "model.onnx", 128)
    fuse(folder / "model.onnx", folder / "fused.onnx")
    halve_weights(folder / "fused.onnx")
    return make_folder(checkpoint, folder / "fused.onnx", folder / "folder")


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "folder"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_quantise_gives_a_text_the_same_bits_in_any_company_and_padding(folder: Path) -> None:
    found = add_int8(folder, examples(24, 1), examples(30, 2), examples(40, 5), LAX)
    assert found.rows == 40
    assert 0 < found.mean_difference < 0.2  # int8 it is, and near
    full, small = (Classifier.load(folder, threads=1, precision=name) for name in ("fp32", "int8"))
    assert Classifier.load(folder).bundle.precision == ("int8" if has_dot_products() else "fp32")
    assert small.bundle.identity != full.bundle.identity == full.bundle.digest
    assert small.bundle.facts["int8"]["tests"]["rows"] == 40
    assert small.bundle.facts["run"] == "tiny"
    rows = texts(30, 3)
    encoded = small.encode(rows)
    expected = small.logits(encoded)
    assert np.abs(expected - full.logits(encoded)).max() < 0.1 * expected.std() + 0.5
    order = random.Random(4).sample(range(30), 30)
    shuffled = small.logits([encoded[row] for row in order])
    assert shuffled.tobytes() == expected[order].tobytes()
    for row in range(30):
        assert small.logits([encoded[row]]).tobytes() == expected[row].tobytes()
        # An unpadded token has its own scale, so that padding moves no int8 rounding; what is left is of float32.
        wide = small.run(encoded, Batch((row,), 128))
        np.testing.assert_allclose(wide[0], expected[row], atol=1e-3)


def test_quantise_leaves_the_folder_as_it_was_where_the_gate_says_no(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(QuantiseError, match="least 1000"):
        add_int8(folder, examples(8, 1), examples(8, 2), examples(8, 3), STRICT)
    assert contents(folder) == before
    with pytest.raises(ModelError, match="no int8 graph"):
        Classifier.load(folder, precision="int8")


def test_quantise_holds_the_chosen_graph_against_tests(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation may pass where tests do not: then nothing stays."""
    before = contents(folder)
    tests = examples(200, 6)

    def fail_on_tests(full: Classifier, small: Classifier, rows: list[Example]) -> Comparison:
        return Comparison(len(rows), {"stance": 0.9 if rows is tests else 1.0}, {"stance": 0.0}, 0.0, 2.0)

    monkeypatch.setattr(quantise, "compare", fail_on_tests)
    with pytest.raises(QuantiseError, match="on tests stance labels agree"):
        add_int8(folder, examples(8, 1), examples(8, 2), tests, Int8Config())
    assert contents(folder) == before


def test_quantise_stores_what_both_graphs_hold_once(folder: Path) -> None:
    add_int8(folder, examples(24, 1), examples(30, 2), examples(40, 5), LAX)
    embedding = 16_384 * 64 * 2
    assert (folder / "model.onnx").stat().st_size > embedding > (folder / GRAPH).stat().st_size
    before = Classifier.load(folder, threads=1, precision="int8")
    moved = Classifier.load(shutil.copytree(folder, folder.parent / "elsewhere"), threads=1, precision="int8")
    encoded = before.encode(texts(10, 8))
    assert before.logits(encoded).tobytes() == moved.logits(encoded).tobytes()


def test_quantise_refuses_a_graph_without_big_products(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "SMALLEST_SIDE", 10_000)
    before = contents(folder)
    with pytest.raises(QuantiseError, match="no big matrix product"):
        add_int8(folder, examples(8, 1), examples(8, 2), examples(8, 3), LAX)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("comparison", "word"),
    [
        (Comparison(9, {"stance": 0.99}, {"stance": 0.0}, 0.0, 2.0), "agree"),
        (Comparison(9, {"stance": 1.0}, {"stance": 0.01}, 0.0, 2.0), "macro-F1"),
        (Comparison(9, {"stance": 1.0}, {"stance": 0.0}, 0.0, 1.0), "fast"),
    ],
)
def test_quantise_gate_names_what_was_missed(comparison: Comparison, word: str) -> None:
    (fault,) = comparison.faults(Int8Config())
    assert word in fault
    assert Comparison(9, {"stance": 1.0}, {"stance": 0.0}, 0.0, 2.0).faults(Int8Config()) == []


@given(st.dictionaries(st.text(max_size=4), st.floats(0, 10), max_size=12), st.floats(0, 1))
def test_quantise_spares_the_worst_products(errors: dict[str, float], spared: float) -> None:
    left = unspared(errors, spared)
    out = set(errors) - set(left)
    assert sum(errors[name] for name in left) <= (1 - spared) * sum(errors.values()) + 1e-9
    assert max((errors[name] for name in left), default=0) <= min((errors[name] for name in out), default=10)


def test_quantise_smoothing_evens_out_an_outlying_channel() -> None:
    activations = np.array([1.0, 100.0, 1.0])
    matrix = np.ones((3, 4), np.float32)
    factors = smoothing(activations, [matrix])
    divided = activations / factors
    assert divided.max() / divided.min() == pytest.approx(10, rel=1e-4)
    assert np.log(factors).mean() == pytest.approx(0, abs=1e-6)
