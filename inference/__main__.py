"""``python -m inference`` is ``penchant``."""

from inference.cli import main

main()
