"""The choice of a graph: int8 only where the processor is known to multiply bytes exactly."""

import pytest

from inference import precision
from inference.precision import chosen, dot_products_in

INTEL = "processor\t: 0\nflags\t\t: fpu sse avx2 avx512f avx512_vnni\n"


@pytest.mark.parametrize(
    ("cpuinfo", "known"),
    [
        (INTEL, True),
        ("processor : 0\nflags : fpu avx2 avx_vnni\n", True),
        ("processor : 0\nFeatures : fp asimd asimddp\n", True),
        ("processor : 0\nflags : fpu sse avx2\n", False),
        ("processor : 0\nbugs : avx_vnni\n", False),
        ("", False),
    ],
)
def test_precision_reads_the_processor(cpuinfo: str, known: bool) -> None:
    assert dot_products_in(cpuinfo) is known


@pytest.mark.parametrize("able", [True, False])
def test_precision_falls_back_to_fp32(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_dot_products", lambda: able)
    assert chosen({"fp32": "model.onnx", "int8": "model.int8.onnx"}) == ("int8" if able else "fp32")
    assert chosen({"fp32": "model.onnx"}) == "fp32"
