"""Which graph of a model folder this processor should run: int8 where it is exact and faster, else fp32.

Processors without 8-bit dot products multiply in 16 bits with saturation, so that int8 gives other answers there (and
no speed); they get the fp32 graph.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

FULL, SMALL = "fp32", "int8"
CPUINFO = Path("/proc/cpuinfo")
#: Flags of 8-bit dot products: x86 (VNNI, in either form) and 64-bit Arm.
DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})


def chosen(graphs: Collection[str]) -> str:
    """The precision to run of those that a model folder has."""
    return SMALL if SMALL in graphs and has_dot_products() else FULL


@cache
def has_dot_products() -> bool:
    """Whether this processor is known to multiply 8-bit integers exactly; where it cannot be told, it is not."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        return dot_products_in(CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def dot_products_in(cpuinfo: str) -> bool:
    """Whether the first processor of a ``/proc/cpuinfo`` lists an 8-bit dot product."""
    for line in cpuinfo.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return not DOT_PRODUCTS.isdisjoint(flags.split())
    return False
