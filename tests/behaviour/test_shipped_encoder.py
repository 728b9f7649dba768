"""The shipped encoder is a plain masked-language model: transformers opens it, and it fills masks with French words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

ENCODER = Path(__file__).parents[2] / "training" / "encoder"
#: What a reader would put there; one of them among the first three answers is right.
SENTENCES = {
    "Le ministre a annoncé la[MASK] de l'embargo sur les armes.": {"levée", "suspension", "fin", "prolongation"},
    "Les députés demandent au gouvernement de[MASK] les sanctions contre la Russie.": {"lever", "suspendre", "durcir"},
    "L'Union européenne a imposé des droits de[MASK] sur l'acier chinois.": {"douane", "sauvegarde"},
    "Cette mesure met en danger la[MASK] nationale.": {"sécurité", "souveraineté", "défense"},
    "Washington a[MASK] les licences d'exportation vers la Chine.": {"suspendu", "interdit", "supprimé", "accordé"},
    "Nous nous félicitons de cet[MASK], qui ouvre de nouveaux marchés.": {"accord", "engagement"},
    "Le syndicat[MASK] une décision qui menace des milliers d'emplois.": {"dénonce", "conteste", "critique"},
    "Les entreprises craignent une[MASK] de leurs exportations.": {"baisse", "chute", "réduction", "diminution"},
    "Rien ne[MASK] que ces contrôles protègent la sécurité.": {"dit", "prouve", "garantit", "indique"},
    "Le Parlement a[MASK] le projet de loi par 300 voix contre 200.": {"adopté", "rejeté", "voté", "approuvé"},
}


@pytest.fixture(scope="module")
def answers() -> list[bool]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    auto: Any = AutoModelForMaskedLM
    model = auto.from_pretrained(ENCODER, dtype=torch.float32).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(ENCODER)
    right = []
    for sentence, words in SENTENCES.items():
        encoded = tokenizer(sentence, return_tensors="pt")
        place = int((encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0, 0])
        with torch.no_grad():
            best = model(**encoded).logits[0, place].topk(3).indices.tolist()
        right.append(bool(words & {tokenizer.decode([piece]).strip() for piece in best}))
    return right


def test_the_encoder_fills_most_masks_with_what_a_reader_expects(answers: list[bool]) -> None:
    assert sum(answers) >= 7
