"""Parts scored by several processes: this one reads and splits, each of the others has a model of its own.

A part depends on its own records alone, so the rows are the same however many work, and whichever finishes first: parts
are handed out and handed back in order, and only a few are under way at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from inference.classifier import Classifier, Encoded
from inference.parts import Record, Target, chunk_rows, texts_of, write_rows
from inference.progress import Part

if TYPE_CHECKING:
    from pathlib import Path

Numbered = tuple[int, list[Record]]

#: The model of a worker process; opened once, when the process starts.
_classifier: Classifier | None = None


def finished_parts(
    parts: Iterator[Numbered], classifier: Classifier, target: Target, *, workers: int, threads: int
) -> Iterator[Part]:
    """Score and write numbered parts, in order, with ``workers`` processes (1: in this one); markers are the caller's.

    Each process runs the model on ``threads`` threads (0: its share of the cores).
    """
    clear_unfinished(target.output)
    if workers == 1:
        for number, chunk in parts:
            yield write_rows(number, chunk_rows(chunk, classifier), target)
        return
    yield from _handed_out(parts, classifier, target, workers, threads or threads_each(workers))


def clear_unfinished(output: Path) -> None:
    """Remove the half-written files of workers that were killed."""
    for folder in (output / "passages", output / "articles", output / ".job"):
        for path in folder.glob(".*.new"):
            path.unlink(missing_ok=True)


def threads_each(workers: int) -> int:
    """The threads of each of ``workers`` processes: the cores that this process may use, shared out."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _handed_out(
    parts: Iterator[Numbered], classifier: Classifier, target: Target, workers: int, threads: int
) -> Iterator[Part]:
    from multiprocessing import get_context

    bundle = classifier.bundle
    pool = ProcessPoolExecutor(
        workers,
        # A forked copy of a process with the runtime's threads in it may hang: fresh ones start.
        mp_context=get_context("spawn"),
        initializer=open_worker,
        initargs=(bundle.folder, bundle.precision, threads),
    )
    waiting: deque[Future[Part]] = deque()
    try:
        for number, chunk in parts:
            waiting.append(pool.submit(score_part, number, chunk, target, classifier.recall(texts_of(chunk))))
            if len(waiting) > workers:  # one more than are at work, so that none waits for this process
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def open_worker(folder: Path, precision: str, threads: int) -> None:
    """Make this process a worker: open the model, and end with the process that started it, however that ends."""
    import signal
    from multiprocessing import parent_process
    from threading import Thread

    global _classifier  # noqa: PLW0603  # a process pool hands state to its tasks in no other way
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the whole group, and one traceback is enough
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        Thread(target=follow, daemon=True).start()
    _classifier = Classifier.load(folder, threads=threads, precision=precision)


def score_part(number: int, chunk: Sequence[Record], target: Target, tokens: Mapping[str, Encoded]) -> Part:
    """Score and write one part in a worker; its files are named after the process until they are whole.

    ``tokens`` are those of its texts that were counted where they were split.
    """
    assert _classifier is not None
    _classifier.remember(tokens)
    return write_rows(number, chunk_rows(chunk, _classifier), replace(target, writer=f".{os.getpid()}"))
