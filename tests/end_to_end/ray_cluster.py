"""A Ray cluster of separate processes on loopback: a head and workers, each with ports and resources of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.end_to_end.conftest import ROOT

START = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
SMALL = ["--num-cpus", "2", "--object-store-memory", "200000000", "--disable-usage-stats"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


@dataclass
class Cluster:
    """The processes of a cluster by node: the head first."""

    folder: Path
    port: int = field(default_factory=free_port)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the next node: the head, then workers."""
        where = ["--address", self.address]
        if not self.nodes:
            # Ray names its sockets below this folder, and a socket's path holds 107 bytes.
            where = ["--head", "--port", str(self.port), "--include-dashboard", "false", "--temp-dir", str(self.folder)]
        command = [*START, *where, *SMALL]
        log = (self.folder / f"node-{len(self.nodes)}.log").open("wb")
        self.nodes.append(
            subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log, start_new_session=True)
        )

    def wait(self, count: int, seconds: float = 240) -> None:
        """Wait until so many nodes are alive."""
        import ray

        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError):
                time.sleep(1)
                continue
            alive = sum(node["Alive"] for node in ray.nodes())
            ray.shutdown()
            if alive == count:
                return
            time.sleep(1)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("node-*.log"))
        raise AssertionError(f"the cluster has not {count} nodes after {seconds} s\n{logs}")

    def kill(self, number: int) -> None:
        """End a node as a power cut does: all of its processes at once."""
        node = psutil.Process(self.nodes[number].pid)
        for process in [*node.children(recursive=True), node]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.nodes[number].wait()

    def stop(self) -> None:
        for number in reversed(range(len(self.nodes))):
            if self.nodes[number].poll() is None:
                self.kill(number)
