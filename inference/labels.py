"""The tasks of a model and their labels, read from the model's own configuration.

A checkpoint carries one group of logits a task in a plain ``id2label``: ``{"0": "stance=pro-easing", …}``. Tasks and
labels are data: nothing else in the project knows what they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its name, its labels, and the logits ``start`` to ``start + len(labels)`` that are theirs."""

    name: str
    labels: tuple[str, ...]
    start: int

    @property
    def logits(self) -> slice:
        """The task's slice of a row of logits."""
        return slice(self.start, self.start + len(self.labels))

    def column(self, label: str) -> str:
        """The output column of a label's probability: ``stance`` and ``pro-easing`` make ``stance_pro_easing``."""
        return f"{self.name}_{label}".replace("-", "_").replace(" ", "_")


def tasks_from_id2label(id2label: Mapping[str, str] | Mapping[int, str]) -> tuple[Task, ...]:
    """Read ``{index: "task=label"}`` into tasks, in the order of their logits.

    Raises ValueError where an index is missing, a name has no ``=`` or a task's labels are not side by side.
    """
    ordered = sorted((int(index), name) for index, name in id2label.items())
    if [index for index, _ in ordered] != list(range(len(ordered))):
        raise ValueError(f"id2label must count from 0 without a gap, it has {[index for index, _ in ordered]}")
    groups: dict[str, list[str]] = {}
    last = None
    for _, name in ordered:
        task, equals, label = name.partition("=")
        if not (equals and task and label):
            raise ValueError(f"id2label holds {name!r}; it must read task=label, as in stance=pro-easing")
        if task != last and task in groups:
            raise ValueError(f"the labels of task {task!r} are not side by side in id2label")
        groups.setdefault(task, []).append(label)
        last = task
    tasks: list[Task] = []
    for task, labels in groups.items():
        if len(labels) < 2 or len(set(labels)) != len(labels):
            raise ValueError(f"task {task!r} needs two or more different labels, it has {labels}")
        tasks.append(Task(task, tuple(labels), sum(len(other.labels) for other in tasks)))
    return tuple(tasks)


def id2label_from_tasks(tasks: Mapping[str, tuple[str, ...] | list[str]]) -> dict[int, str]:
    """The inverse: ``{"stance": ["pro-easing", …]}`` to ``{0: "stance=pro-easing", …}``."""
    names = [f"{task}={label}" for task, labels in tasks.items() for label in labels]
    return dict(enumerate(names))
