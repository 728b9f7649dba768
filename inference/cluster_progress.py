"""What a job on a cluster has done so far: its parts are finished in any order, by any node."""

from __future__ import annotations

import json

from inference.progress import Part, Progress


class ClusterProgress(Progress):
    """The finished parts of the job in ``output``; markers are written by the nodes."""

    def _read_parts(self) -> list[Part]:
        markers = self.folder.glob("part-*.json")
        parts = [Part(**json.loads(path.read_text(encoding="utf-8"))) for path in markers]
        return sorted(parts, key=lambda part: part.number)

    def note(self, part: Part) -> None:
        """Remember a part that a node finished."""
        self.parts.append(part)

    def settle(self, expected: int) -> None:
        """Put the parts in order at the end, and clear away what nodes that died were writing.

        Raises RuntimeError where the parts are not exactly those that were planned: rows would be missing.
        """
        self.parts.sort(key=lambda part: part.number)
        if [part.number for part in self.parts] != list(range(expected)):
            raise RuntimeError(f"{len(self.parts)} parts are finished and {expected} were planned")
        for folder in (self.folder, self.folder.parent / "passages", self.folder.parent / "articles"):
            for unfinished in folder.glob(".*.new"):
                unfinished.unlink(missing_ok=True)
