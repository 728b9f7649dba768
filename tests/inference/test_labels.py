"""Tasks and labels come from the model's own id2label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.labels import Task, id2label_from_tasks, tasks_from_id2label

NAMES = st.text(st.characters(categories=["L", "Nd"], include_characters="-_"), min_size=1, max_size=8)
TASKS = st.dictionaries(NAMES, st.lists(NAMES, min_size=2, max_size=5, unique=True), min_size=1, max_size=4)


@given(TASKS)
def test_labels_survive_the_way_through_id2label(tasks: dict[str, list[str]]) -> None:
    read = tasks_from_id2label(id2label_from_tasks(tasks))
    assert {task.name: list(task.labels) for task in read} == tasks
    covered = [index for task in read for index in range(task.logits.start, task.logits.stop)]
    assert covered == list(range(sum(map(len, tasks.values()))))


def test_labels_are_ordered_by_index_not_by_text() -> None:
    names = {str(index): f"letters={letter}" for index, letter in enumerate("abcdefghijkl")}
    shuffled = dict(sorted(names.items()))  # "10" sorts before "2"
    assert tasks_from_id2label(shuffled)[0].labels == tuple("abcdefghijkl")


@pytest.mark.parametrize(
    ("id2label", "fault"),
    [
        ({"0": "LABEL_0", "1": "LABEL_1"}, "task=label"),
        ({"0": "a=x", "2": "a=y"}, "without a gap"),
        ({"0": "a=x", "1": "b=x", "2": "a=y", "3": "b=y"}, "side by side"),
        ({"0": "a=x", "1": "a=x"}, "different labels"),
        ({"0": "a=x"}, "two or more"),
    ],
)
def test_labels_refuse_what_is_not_a_task(id2label: dict[str, str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        tasks_from_id2label(id2label)


def test_labels_make_column_names() -> None:
    assert Task("stance", ("pro-easing", "neutral"), 0).column("pro-easing") == "stance_pro_easing"
