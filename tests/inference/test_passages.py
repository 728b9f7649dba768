import re
import textwrap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.passages import Passage, split_article, whole_passage
from inference.splitting import count_words


def count_tokens(texts: list[str]) -> list[int]:
    """Tokens as a small vocabulary would have it: pieces of four letters, single signs, and two special tokens."""
    return [len(re.findall(r"\w{1,4}|[^\w\s]", text)) + 2 for text in texts]


def count_characters(texts: list[str]) -> list[int]:
    """A counter under which a passage has more tokens than its parts together: blanks count."""
    return [len(text) for text in texts]


PARAGRAPH = (
    "Le ministère a prolongé mardi le régime des licences. Les fabricants, qui craignaient un arrêt brutal des "
    "livraisons, se disent soulagés. Rien n'est réglé pour la suite."
)
OTHER = (
    "Les syndicats demandent un calendrier plus long. M. Ferrand, qui les conduit, a parlé d'un « délai de façade. "
    "Rien de plus. » Il sera reçu lundi à Paris."
)


def texts(passages: list[Passage]) -> list[str]:
    return [passage.text for passage in passages]


def check(text: str, passages: list[Passage], max_tokens: int, max_words: int) -> None:
    """The promises of split_article."""
    assert [passage.index for passage in passages] == list(range(len(passages)))
    last = 0
    for passage in passages:
        assert passage.start >= last
        assert not text[last : passage.start].strip()
        assert text[passage.start : passage.end] == passage.text == passage.text.strip() != ""
        assert passage.n_tokens <= max_tokens
        assert passage.truncated_tokens == 0
        assert count_words(passage.text) <= max_words
        last = passage.end
    assert not text[last:].strip()


def test_passages_are_paragraphs_with_exact_offsets() -> None:
    text = f"\n {PARAGRAPH}\r\n\r\n\t{OTHER}\n\n"
    passages = split_article(text, count_tokens, 512)
    assert texts(passages) == [PARAGRAPH, OTHER]
    assert [(p.index, p.start, p.end) for p in passages] == [
        (0, 2, 2 + len(PARAGRAPH)),
        (1, 7 + len(PARAGRAPH), 7 + len(PARAGRAPH) + len(OTHER)),
    ]
    assert [p.n_tokens for p in passages] == count_tokens([PARAGRAPH, OTHER])


def test_passages_heading_goes_with_what_follows() -> None:
    text = f"Un sursis de six mois\n\n{PARAGRAPH}\n\nL'avis des syndicats\n\n{OTHER}"
    assert texts(split_article(text, count_tokens, 512)) == [
        f"Un sursis de six mois\n\n{PARAGRAPH}",
        f"L'avis des syndicats\n\n{OTHER}",
    ]


def test_passages_long_title_without_a_full_stop_is_a_heading() -> None:
    title = "Le régime des licences est prolongé de six mois tandis que montent les critiques des syndicats du secteur"
    assert texts(split_article(f"{title}\n\n{PARAGRAPH}", count_tokens, 512)) == [f"{title}\n\n{PARAGRAPH}"]


def test_passages_one_liners_go_with_what_follows_and_the_last_with_what_precedes() -> None:
    text = f"Entretien.\n\n— Que change ce texte ?\n\n{PARAGRAPH}\n\n{OTHER}\n\nPropos recueillis à Metz."
    assert texts(split_article(text, count_tokens, 512)) == [
        f"Entretien.\n\n— Que change ce texte ?\n\n{PARAGRAPH}",
        f"{OTHER}\n\nPropos recueillis à Metz.",
    ]


def test_passages_article_of_one_liners_is_one() -> None:
    assert texts(split_article("Un titre\n\nUne ligne.\n", count_tokens, 512)) == ["Un titre\n\nUne ligne."]


def test_passages_min_words_zero_keeps_every_paragraph_apart() -> None:
    text = "Une ligne.\n\nUne autre."
    assert texts(split_article(text, count_tokens, 512, min_words=0)) == ["Une ligne.", "Une autre."]


def test_passages_soft_wrapped_paragraph_is_one() -> None:
    wrapped = "\n".join(textwrap.wrap(PARAGRAPH, 70))
    assert texts(split_article(f"{wrapped}\n\n{OTHER}", count_tokens, 512)) == [wrapped, OTHER]


def test_passages_long_paragraph_is_cut_at_sentences_into_equal_runs() -> None:
    text = " ".join(
        f"Selon M. Ferrand, la mesure no. {n} coûte 3,5 % de plus aux ateliers de la vallée." for n in range(20)
    )
    passages = split_article(text, count_tokens, 512, max_words=150)
    check(text, passages, 512, 150)
    assert len(passages) == 3
    assert all(p.text.startswith("Selon M. Ferrand") and p.text.endswith("vallée.") for p in passages)
    words = [count_words(p.text) for p in passages]
    assert max(words) - min(words) <= 17


def test_passages_keep_quoted_sentences_together_where_they_can() -> None:
    quotation = "« Nous avons attendu. Personne n'est venu. Le dossier dort depuis des mois. » "
    filler = "Les ateliers de la vallée tournent au ralenti depuis que les pièces manquent. "
    passages = split_article((filler * 3 + quotation) * 4, count_tokens, 512, max_words=60)
    assert all(p.text.count("«") == p.text.count("»") for p in passages)


def test_passages_heading_stays_with_the_first_run_of_a_long_paragraph() -> None:
    sentence = "La mesure coûte cher aux ateliers de la vallée, qui n'ont pas d'autre fournisseur. "
    passages = split_article(f"Une vallée inquiète\n\n{sentence * 20}", count_tokens, 512)
    assert passages[0].text.startswith("Une vallée inquiète\n\nLa mesure")


def test_passages_single_sentence_beyond_the_limit_is_cut_at_its_clauses() -> None:
    clause = "le texte prévoit un délai de six mois pour les ateliers qui en font la demande"
    text = " ; ".join([clause] * 20) + "."
    passages = split_article(text, count_tokens, 128)
    check(text, passages, 128, 150)
    assert all(p.text.endswith((";", ".")) for p in passages)


def test_passages_text_without_blanks_is_cut_between_characters() -> None:
    text = "A" * 5_000
    passages = split_article(text, count_tokens, 64)
    check(text, passages, 64, 150)
    assert "".join(texts(passages)) == text


def test_passages_depend_on_nothing_but_their_article() -> None:
    alone = split_article(OTHER, count_tokens, 512)
    after = split_article(f"{PARAGRAPH}\n\n{OTHER}", count_tokens, 512)
    assert texts(alone) == texts(after)[1:]


@pytest.mark.parametrize("text", ["", " \n\t\xa0"])
def test_passages_of_a_blank_article_are_none(text: str) -> None:
    assert split_article(text, count_tokens, 512) == []


def test_passages_refuse_limits_without_room() -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        split_article(PARAGRAPH, count_tokens, 4)
    with pytest.raises(ValueError, match="max_words"):
        split_article(PARAGRAPH, count_tokens, 512, max_words=0)


def test_passages_character_that_is_over_the_limit_is_told() -> None:
    (passage,) = split_article("漢", lambda found: [20 for _ in found], 8)
    assert (passage.n_tokens, passage.truncated_tokens) == (20, 12)


def test_whole_passage_is_not_split_and_tells_what_is_cut() -> None:
    text = f"  {PARAGRAPH}\n\n{OTHER} "
    passage = whole_passage(text, count_tokens, 20)
    assert passage.text == text.strip() == text[passage.start : passage.end]
    assert passage.n_tokens == count_tokens([text])[0]
    assert passage.truncated_tokens == passage.n_tokens - 20
    assert whole_passage(PARAGRAPH, count_tokens, 512).truncated_tokens == 0
    with pytest.raises(ValueError, match="blank"):
        whole_passage(" \n", count_tokens, 512)


SIGNS = st.sampled_from(
    [
        *"aéZ1 .!?…,;:«»“”’()-—\n\r\t\xa0\u202f\u2028\u200b\u0301\x00😀漢。",
        "\n\n",
        "\r\n",
        "M. ",
        "👩\u200d👧",
        "\ud800",
    ]
)
WORDS = st.sampled_from(
    ["le", "texte", "M.", "l'art. 3", "Paris", "hésite.", "« Non", "»", ",", "\n", "\n\n", "3,5 %", "…", "–"]
)
ANY_TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(SIGNS, max_size=200).map("".join),
    st.lists(WORDS, max_size=200).map(" ".join),
)


@settings(max_examples=300)
@given(ANY_TEXT, st.integers(8, 60), st.integers(1, 40), st.integers(0, 12))
def test_passages_hold_every_sign_once_within_both_limits(text: str, tokens: int, words: int, min_words: int) -> None:
    check(text, split_article(text, count_tokens, tokens, max_words=words, min_words=min_words), tokens, words)


@given(ANY_TEXT, st.integers(8, 60))
def test_passages_fit_even_where_the_parts_do_not_add_up(text: str, tokens: int) -> None:
    check(text, split_article(text, count_characters, tokens), tokens, 150)


@given(ANY_TEXT.filter(str.strip), st.integers(8, 60))
def test_whole_passage_holds_all_that_is_not_blank(text: str, tokens: int) -> None:
    passage = whole_passage(text, count_tokens, tokens)
    assert text[passage.start : passage.end] == passage.text == text.strip()
    assert passage.truncated_tokens == max(0, passage.n_tokens - tokens)


@given(st.lists(st.sampled_from([PARAGRAPH, OTHER, "Un titre", "— Une réplique !"]), min_size=1, max_size=8))
def test_passages_do_not_change_with_line_ends(parts: list[str]) -> None:
    unix, windows = "\n\n".join(parts), "\r\n\r\n".join(parts)
    for one, other in pairwise([split_article(text, count_tokens, 128) for text in (unix, windows)]):
        assert [text.replace("\r\n", "\n") for text in texts(other)] == texts(one)
