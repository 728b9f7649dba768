"""``python -m training`` is ``penchant-train``."""

from training.cli import main

main()
