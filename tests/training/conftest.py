"""Small things the training tests share: French text of our own, a tokenizer, token shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training.text import Shard, TextSource, build_tokenizer, stream_documents, write_shards

NOUNS = ["le ministre", "la filière", "l'usine", "un armateur", "l'agence", "la députée", "qu'un rapport", "le port"]
VERBS = ["réclame", "suspend", "étudie", "approuve", "chiffre", "conteste", "prolonge", "annonce"]
THINGS = ["les quotas d'acier", "la licence", "l'embargo", "trois contrôles", "le droit de douane", "la liste noire"]


def sentences(count: int) -> list[str]:
    """Plain invented sentences, all different."""
    made = []
    for number in range(count):
        noun, verb = NOUNS[number % len(NOUNS)], VERBS[number // 8 % len(VERBS)]
        made.append(f"{noun.capitalize()} {verb} {THINGS[number // 64 % len(THINGS)]} en {1990 + number % 37}.")
    return made


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of text: a paragraph a line, a blank line between documents."""
    folder = tmp_path_factory.mktemp("text")
    lines = sentences(384)
    documents = ["\n".join(lines[start : start + 6]) for start in range(0, len(lines), 6)]
    (folder / "débats.txt").write_text("\n\n".join(documents[:44]), encoding="utf-8")
    (folder / "lois.txt").write_text("\n\n".join(documents[44:]), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def sources(text_folder: Path) -> list[TextSource]:
    return [TextSource("débats", (text_folder / "débats.txt",)), TextSource("lois", (text_folder / "lois.txt",), 0.5)]


@pytest.fixture(scope="session")
def tokenizer(sources: list[TextSource]) -> Tokenizer:
    return build_tokenizer((text for source in sources for text in stream_documents(source)), 512)


@pytest.fixture(scope="session")
def shards(
    sources: list[TextSource], tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Shard]]:
    folder = tmp_path_factory.mktemp("shards")
    return folder, write_shards(sources, tokenizer, folder)


@pytest.fixture(scope="session")
def small_encoder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ModernBERT of two thin layers with random weights, as a checkpoint folder."""
    from transformers import set_seed

    from training.pretrain import Recipe, build_model
    from training.text import save_tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    set_seed(0)
    recipe = Recipe(hidden_size=32, layers=2, heads=2, intermediate_size=48, max_position=64)
    build_model(recipe, tokenizer).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 64)
    return folder
