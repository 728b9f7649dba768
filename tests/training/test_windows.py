"""Windows over token shards: every window once an epoch, whatever the batch size; nothing held out is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.windows import Windows


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path, float]]:
    folder = tmp_path_factory.mktemp("tokens")
    made = []
    for number, (count, weight) in enumerate([(700, 1.0), (300, 0.5), (210, 0.3)]):
        path = folder / f"{number}.u16"
        (np.arange(count) + 1000 * number).astype("<u2").tofile(path)
        made.append((str(number), path, weight))
    return made


@given(size=st.integers(1, 90), step=st.integers(0, 40))
def test_windows_of_a_large_batch_are_those_of_small_ones(
    places: list[tuple[str, Path, float]], size: int, step: int
) -> None:
    windows = Windows(places, 8, 2, 5)
    large = windows.batch(step, size)
    single = np.concatenate([windows.batch(step * size + row, 1) for row in range(size)])
    assert np.array_equal(large, single)
    assert (large[:, 0] == 2).all()
    assert (np.diff(large[:, 1:], axis=1) == 1).all()  # consecutive tokens of one source


def test_windows_read_each_trained_window_once_an_epoch_and_no_held_out_one(
    places: list[tuple[str, Path, float]],
) -> None:
    windows = Windows(places[:1], 8, 2, 5)
    seen = windows.batch(0, windows.epoch_windows)[:, 1]
    assert len(set(seen.tolist())) == windows.epoch_windows == 99
    held_out = np.concatenate([ids for _, ids in windows.held_out(4)])[:, 1]
    assert not set(held_out.tolist()) & set(seen.tolist())
