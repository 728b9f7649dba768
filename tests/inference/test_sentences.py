import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import sentences
from inference.sentences import plain_sentence_spans, sentence_spans

#: ``|`` stands where a cut is due.
CASES = [
    "M. Ferrand a reçu Mme Solal à Lyon. | Elle a signé l'accord.",
    "MM. Ferrand et Solal arrivent. | Le Dr. Marquet aussi. | Mgr. Oudin les attend.",
    "Selon l'art. 12 du règlement, la mesure cesse. | Elle était provisoire.",
    "Voir l'art. L. 213-1 du code. | Il est clair.",
    "Il parle d'une œuvre d'art. | L'acheteur est inconnu.",
    "Certains produits, p. ex. les puces, restent soumis à licence. | D'autres non.",
    "Les quotas, les droits, etc. pèsent sur les prix. | Rien ne change.",
    "Le texte (cf. annexe II, p. 14) est clair. | Voir aussi le no. 3 du bulletin.",
    "Le vol. 2, chap. 3, fig. 4 le montrent. | Fin.",
    "L'entreprise Durand et Cie. publie ses comptes. | L'indice recule.",
    "Il loge av. Foch ou bd. Voltaire. | Il voyage.",
    "Rendez-vous le 3 janv. 2026 à 14 h. 30. | La séance suivra.",
    "J.-P. Raffarin s'est exprimé hier. | On l'a écouté.",
    "L'ancien ministre P. Varenne l'a dit. | On l'a cru.",
    "A. de Tocqueville l'aurait dit. | Personne ne le sait.",
    "L'O.N.U. proteste. | Les alliés aussi.",
    "Ils ont retenu le plan B. | Les ouvriers attendent.",
    "Vers 300 av. J.-C. on commerçait déjà. | Rien de neuf.",
    "La hausse atteint 3,5 % en mai. | Elle touche 1.250 entreprises. | Le reste, 12.400.000 euros, attend.",
    "Le taux passe à 5 %. | 300 sociétés sont visées. | 12 pays protestent.",
    "« Nous n'y croyons pas. Pas un instant ! » a répondu le ministre. | La séance fut levée.",
    "Le ministre a répondu : « Nous n'y croyons pas. Pas un instant. » | La séance fut levée.",
    "« Est-ce bien raisonnable ? » demande-t-elle. | Nul ne répond.",
    "“On verra bien. On verra.” | Il part.",
    "Il hésite... puis il signe. | Fin de l'histoire.",
    "Enfin… nous y sommes. | Voilà.",
    "Vraiment ?! | Oui ! | Non… peut-être.",
    "— Vous exportez encore ? | — Oui, mais moins. | — Et demain ?",
    "1. Les faits. | 2. Les chiffres. | 3. Les suites.",
    "Le site www.exemple.fr a fermé. | Écrivez à j.durand@exemple.fr demain.",
    "Elle s'arrête là. | À demain !",
]


@pytest.mark.parametrize("case", CASES)
def test_sentences_of_french(case: str) -> None:
    text = case.replace("| ", "")
    assert " | ".join(text[start:end] for start, end in sentence_spans(text)) == case


@pytest.mark.parametrize("blank", ["\n", "\r\n", "\t", "\xa0", "\u202f", "  "])
def test_sentences_do_not_depend_on_the_kind_of_blank(blank: str) -> None:
    text = f"Paris hésite.{blank}Berlin{blank}attend. Rome « s'en{blank}moque. Vraiment. »"
    assert [text[start] for start, _ in sentence_spans(text)] == ["P", "B", "R"]


def test_sentences_beyond_a_window_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"La mesure numéro {n} est en vigueur, selon M. Ferrand. Elle coûte {n},5 %." for n in range(60))
    whole = sentence_spans(text)
    monkeypatch.setattr(sentences, "WINDOW", 300)
    assert sentence_spans(text) == whole
    assert len(whole) == 120


def test_sentences_survive_a_splitter_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As the Rust bindings raise it."""

    class Failing:
        @staticmethod
        def get_sentence_boundaries(language: str, text: str) -> object:
            raise PanicException

    monkeypatch.setitem(sys.modules, "sentencex", Failing)
    text = "Paris hésite. Berlin attend."
    assert [text[start:end] for start, end in sentence_spans(text)] == ["Paris hésite.", "Berlin attend."]


def test_sentences_let_an_interrupt_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        @staticmethod
        def get_sentence_boundaries(language: str, text: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "sentencex", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        sentence_spans("Paris hésite. Berlin attend.")


def test_sentences_plain_rule_cuts_inside_quotation_marks() -> None:
    text = "« Nous n'y croyons pas. Pas un instant. M. Ferrand non plus. »"
    found = [text[start:end] for start, end in plain_sentence_spans(text)]
    assert found == ["« Nous n'y croyons pas.", "Pas un instant.", "M. Ferrand non plus. »"]


SIGNS = st.sampled_from(
    [
        *'aéZ1 .!?…«»“”"’()[]-—,;:\n\r\t\xa0\u202f\u2028\u200b\u0301\x00😀漢。',
        "M. ",
        "J.-P. ",
        "1. ",
        "\ud800",
        "👩\u200d👧",
    ]
)


@given(st.one_of(st.text(), st.lists(SIGNS, max_size=60).map("".join)), st.integers(3, 40))
def test_sentences_lose_nothing(text: str, window: int) -> None:
    kept = sentences.WINDOW
    sentences.WINDOW = window
    try:
        both = [sentence_spans(text), plain_sentence_spans(text)]
    finally:
        sentences.WINDOW = kept
    for spans in both:
        last = 0
        for start, end in spans:
            assert not text[last:start].strip()
            assert text[start:end] == text[start:end].strip() != ""
            last = end
        assert not text[last:].strip()
