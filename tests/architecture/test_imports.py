"""Training imports inference, never the reverse; scoring stays light; nothing happens on import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "mlflow", "datasets", "sklearn", "pandas", "accelerate", "matplotlib"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "inference").glob("*.py")), ids=lambda path: path.name)
def test_imports_of_inference_are_light_and_never_of_training(path: Path) -> None:
    assert not imported(path) & {"training", *HEAVY}


def test_imports_scoring_loads_nothing_heavy() -> None:
    code = "import sys, inference; inference.Classifier.load().predict(['Un quota.']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not HEAVY & {name.split(".")[0] for name in loaded.split()}


@pytest.mark.parametrize("package", ["inference", "training"])
def test_imports_of_a_package_alone_load_no_numpy(package: str) -> None:
    code = f"import sys, {package}; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "False\n"


def test_imports_pretraining_loop_needs_neither_datasets_nor_mlflow() -> None:
    code = "import sys, training.pretrain; print(*(m for m in ('datasets', 'mlflow', 'pydantic') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"datasets", "mlflow"} & set(done.stdout.split())
