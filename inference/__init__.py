"""Batch scoring: French articles in; passages, articles, a manifest and a report out. Needs no torch.

>>> from inference import Classifier, score_articles  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.arrow import score_batches
    from inference.classifier import Classifier, Prediction
    from inference.job import JobResult, score_articles

__version__ = "0.1.0"
__all__ = ["Classifier", "JobResult", "Prediction", "__version__", "score_articles", "score_batches"]

_HOMES = {
    "Classifier": "inference.classifier",
    "Prediction": "inference.classifier",
    "JobResult": "inference.job",
    "score_articles": "inference.job",
    "score_batches": "inference.arrow",
}


def __getattr__(name: str) -> Any:
    """Import what the package offers only when it is asked for: ``penchant --help`` must not load numpy."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'inference' has no attribute {name!r}")
