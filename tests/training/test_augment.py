"""Augmentation: deterministic, consistent, grammatical, and blind to what carries a label."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.actors import ALL_FIRMS, mentions, occurrences, swap_actors, swap_countries, swap_firms, swap_institutions
from training.augment import KINDS, augment_pair, augmenter
from training.countries import COUNTRIES
from training.figures import (
    LADDERS,
    MONTHS,
    WEEKDAYS,
    redraw_figures,
    scale_amounts,
    scaled_figures,
    shift_months,
    shift_years,
)
from training.typography import EDITS, fold_accents, is_guarded, vary_typography

PASSAGES = (
    "La Chine n'a jamais levé l'embargo sur les graines de pavot, regrette le négoce japonais, et Pékin refuse toute "
    "dérogation avant le 15 octobre 2026.",
    "« Sans licence, pas de vente », rappelle la douane de l'Inde. Les sanctions n'ont rien empêché, selon un courtier "
    "d'Ottawa : 12 % des lots sont passés en trente jours.",
    "L'Espagne et l'Italie demandent que l'on durcisse les contrôles ; le ministère allemand de l'Économie s'y oppose, "
    "lui qui a vendu 1 200 tours à Nikon en 2024.",
    "Il est faux que l'assouplissement menace les Pays-Bas, soutient mardi un lobby suisse qui ne cite aucun chiffre.",
)
KEY_WORDS = (
    "jamais levé embargo refuse Sans licence pas vente sanctions rien empêché durcisse contrôles oppose faux que"
)
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_augment_gives_the_same_text_for_the_same_seed(kind: str, text: str, seed: int) -> None:
    assert KINDS[kind](text, rng(seed)) == KINDS[kind](text, rng(seed))


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(text=st.text(max_size=80), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_augment_takes_any_text(kind: str, text: str, seed: int) -> None:
    assert isinstance(KINDS[kind](text, rng(seed)), str)


@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=120, deadline=None)
def test_augment_keeps_negations_and_key_words(text: str, seed: int) -> None:
    whole = augmenter(dict.fromkeys(KINDS, 1.0))
    assert whole is not None

    def key_words(of: str) -> list[str]:
        wanted = {fold_accents(word.lower()) for word in KEY_WORDS.split()}
        return [word for word in re.findall(r"[^\W\d_]+", fold_accents(of.lower())) if word in wanted]

    assert key_words(whole(text, rng(seed))) == key_words(text)


def test_augment_without_shares_is_nothing() -> None:
    assert augmenter({}) is None
    assert augmenter({"actors": 0.0}) is None


def test_augment_refuses_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="no augmentation is called 'actor'; there are actors"):
        augmenter({"actor": 0.5})


def test_augment_applies_a_kind_by_its_share() -> None:
    half = augmenter({"figures": 0.5})
    assert half is not None
    changed = [half("Les ventes ont cédé 12 % en 2023.", rng(seed)) != PASSAGES[0] for seed in range(10)]
    same = [half("Les ventes ont cédé 12 % en 2023.", rng(seed)) for seed in range(200)]
    assert all(changed)
    assert 60 < sum(text == "Les ventes ont cédé 12 % en 2023." for text in same) < 140


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_augment_pair_gives_an_actor_one_name_in_context_and_passage(seed: int) -> None:
    augment = augmenter({"actors": 1.0})
    assert augment is not None
    context, text = augment_pair(augment, "Le Japon ferme ses ports", "Le Japon s'explique.", rng(seed))
    assert context is not None
    assert context.removesuffix(" ferme ses ports") == text.removesuffix(" s'explique.")
    assert augment_pair(augment, None, "Rien.", rng(seed)) == (None, "Rien.")


# Actors


@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_actors_leave_everything_but_names_and_elisions(text: str, seed: int) -> None:
    """Both texts with every name taken out are one text."""

    def bare(of: str) -> str:
        for start, end, _ in reversed(occurrences(of, ALL_FIRMS)):
            of = of[:start] + "…" + of[end:]
        for one in reversed(mentions(of)):
            of = of[: one.start] + "…" + of[one.end :]
        of = re.sub(r"(de l'Économie|de l'Industrie|du Commerce|des Finances|du Budget|du Trésor)", "…", of)
        return re.sub(r"\bd'…|\bde …", "de …", of)

    assert bare(swap_actors(text, rng(seed))) == bare(text)


@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_actors_swap_a_country_whole(seed: int) -> None:
    """The country, its people and its capital get one substitute, with the endings of the adjective."""
    text = "Le Canada, dont les exportateurs canadiens se plaignent, et la flotte canadienne ont saisi Ottawa."
    new = swap_countries(text, rng(seed))
    found = mentions(new)
    assert len({one.country for one in found}) == 1
    country = found[0].country
    name, plural, singular, capital = (new[one.start : one.end] for one in found)
    assert (name, plural, singular, capital) == (country.names[0], country.forms[1], country.forms[2], country.capital)
    assert country.kind == "m"


@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_actors_never_merge_two_countries(text: str, seed: int) -> None:
    before, after = mentions(text), mentions(swap_countries(text, rng(seed)))
    same = [[one.country == other.country for other in before] for one in before]
    assert [[one.country == other.country for other in after] for one in after] == same


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Un courtier d'Ottawa parle.", r"Un courtier (d'[AEIOUÉ]\w*|de [^AEIOUÉ ][\w'-]*( \w+)?) ?[\w-]* parle\."),
        ("On sait que Tokyo refuse.", r"On sait (qu'[AEIOUÉ]|que [^AEIOUÉ ]).* refuse\."),
        ("L'Iran proteste.", r"L'[AEIOUÉ][\w-]* proteste\."),
        ("L'Inde et la Chine signent.", r"L'[AEIOUÉ][\w -]* et la [^AEIOUÉ ][\w -]* signent\."),
        ("Des usines du Chili ferment.", r"Des usines du [^AEIOUÉ ][\w-]* ferment\."),
        ("Le Chinois Wanli rachète.", r"Le [^aeioué ][\w-]*(ais|ois) Wanli rachète\."),
        ("L'indien Surya rachète.", r"L'[aeioué][\w-]* Surya rachète\."),
        ("Les parts vendues à ASML.", r"Les parts vendues à .*\."),
        ("Une machine d'ASML tourne.", r"Une machine (d'[AEIOU]|de [^AEIOU ]).* tourne\."),
    ],
)
def test_actors_mend_elisions_and_keep_agreements(text: str, pattern: str) -> None:
    for seed in range(60):
        assert re.fullmatch(pattern, swap_actors(text, rng(seed))), swap_actors(text, rng(seed))


@pytest.mark.parametrize(
    "text",
    [
        "La Banque de France observe.",
        "Air France proteste.",
        "Le sommet Chine-Europe est reporté.",
        "Les patrouilles en mer de Chine reprennent.",
        "La Corée du Nord a tiré.",
        "Le Suisse Helvor rachète.",
        "L'accord de Lisbonne tient.",
        "Le Washington Herald enquête.",
        "Les liens franco-chinois se défont.",
        "Samsung Heavy livre.",
    ],
)
def test_actors_leave_names_that_hold_a_place(text: str) -> None:
    assert {swap_actors(text, rng(seed)) for seed in range(40)} == {text}


def test_actors_swap_number_safely() -> None:
    """« chinois » may be one or many: only an adjective that is as silent about number takes its place."""
    for seed in range(80):
        new = swap_countries("Les acheteurs chinois hésitent.", rng(seed)).split()[2]
        assert new.endswith("s")
        assert any(country.forms[0] == country.forms[1] == new for country in COUNTRIES)


def test_actors_swap_firms_within_their_trade() -> None:
    seen = {swap_firms("Huawei équipe le réseau.", rng(seed)).split()[0] for seed in range(60)}
    assert seen == {"ZTE", "Ericsson", "Nokia", "Samsung"}


def test_actors_swap_ministries_one_for_one() -> None:
    text = "Le ministère de l'Économie et le ministre du Budget se taisent, le ministère de l’Économie surtout."
    for seed in range(30):
        first, second, third = re.findall(
            r"(?:ministère|ministre) (de l'\w+|du \w+|des \w+)", swap_institutions(text, rng(seed))
        )
        assert first == third != second
    assert swap_institutions("Le Parlement européen vote.", rng(1)) == "Le Parlement européen vote."


@pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.names[0])
def test_countries_have_four_regular_forms(country: object) -> None:
    masculine, plural, feminine, feminines = country.forms  # type: ignore[attr-defined]  # pytest passes objects
    assert plural in (masculine, masculine + "s")
    assert feminines == feminine + "s"
    assert feminine in (masculine, masculine + "e", masculine + "ne", masculine.removesuffix("c") + "que")


# Figures


def test_figures_golden() -> None:
    text = "Le 14 juillet 2024, les ventes ont cédé 12,5 %, à 1 200 tonnes, sous trente jours, a-t-on dit mardi."
    assert redraw_figures(text, rng(4)) == redraw_figures(text, rng(4))
    pattern = (
        rf"Le \d+ (?:{'|'.join(MONTHS)}) 20\d\d, les ventes ont cédé \d+,\d %, à [\d ]+ tonnes, sous "
        rf"(?:{'|'.join(LADDERS['jours'])}) jours, a-t-on dit (?:{'|'.join(WEEKDAYS)})\."
    )
    news = {redraw_figures(text, rng(seed)) for seed in range(40)}
    assert all(re.fullmatch(pattern, new) for new in news)
    assert len(news) > 30


@given(
    values=st.lists(st.integers(2, 10**7), min_size=1, max_size=6),
    factor=st.floats(0.5, 2.0),
)
@settings(max_examples=200, deadline=None)
def test_figures_keep_their_order_and_their_equalities(values: list[int], factor: float) -> None:
    new = [
        int(figure.replace(" ", ""))
        for figure in scaled_figures([str(value) for value in values], factor, float("inf"))
    ]
    for a, x in zip(values, new, strict=True):
        for b, y in zip(values, new, strict=True):
            assert (a < b) == (x < y)
            assert (a < 2) == (x < 2)


def test_figures_move_a_range_together() -> None:
    for seed in range(40):
        low, high = map(int, re.findall(r"\d+", scale_amounts("Le taux passe de 20 à 60 %.", rng(seed))))
        assert 0.25 < low / high < 0.45
        assert high < 100


@pytest.mark.parametrize(
    "text",
    [
        "Le H100 et la 5G restent visés.",
        "L'article 21 et la section 301 s'appliquent.",
        "Le règlement 2021/821 fait foi.",
        "Des puces de 7 nm et de 28 nanomètres.",
        "Les 27 se taisent à 14 heures.",
        "Le plan Horizon 2030 attend.",
        "Un an plus tard, le G7 hésite.",
        "La moitié, soit 100 %, n'en veut pas.",
    ],
)
def test_figures_leave_numbers_that_name(text: str) -> None:
    assert {redraw_figures(text, rng(seed)) for seed in range(40)} == {text}


def test_figures_keep_the_plural_of_millions() -> None:
    for seed in range(60):
        new = scale_amounts("Un coût de 1,5 million contre 2,4 millions.", rng(seed))
        one, more = (float(figure.replace(",", ".")) for figure in re.findall(r"\d,\d", new))
        assert one < 2 <= more


def test_figures_mend_the_elision_before_a_month() -> None:
    for seed in range(40):
        new = shift_months("Avant le mois d'octobre, le contrat de mars tient.", rng(seed))
        first, second = re.findall(r"d'[ao]\w+|de [^ao]\w+", new)
        assert first != second


def test_figures_never_make_a_day_that_does_not_exist() -> None:
    days = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
    for seed in range(60):
        new = shift_months("Du 31 janvier au 30 avril, puis le 12 mai.", rng(seed))
        for day, month in re.findall(r"(\d+) (\w+)", new):
            assert 1 <= int(day) <= days[month]


def test_figures_shift_years_as_one() -> None:
    for seed in range(30):
        early, late = map(int, re.findall(r"\d{4}", shift_years("Entre 2019 et 2024, rien.", rng(seed))))
        assert late - early == 5


# Typography


@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_typography_drops_accents_once(text: str, seed: int) -> None:
    assert fold_accents(fold_accents(text)) == fold_accents(text)
    assert len(fold_accents(text)) == len(text)
    assert vary_typography(text, rng(seed))


@pytest.mark.parametrize("name", [name for name in EDITS if name not in ("slips", "slug")])
@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_typography_keeps_every_word(name: str, text: str, seed: int) -> None:
    def words(of: str) -> list[str]:
        return re.findall(r"\w+", fold_accents(of.lower()))

    assert words(EDITS[name][1](text, rng(seed))) == words(text)


@given(text=st.sampled_from(PASSAGES), seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_typography_slips_spare_short_and_guarded_words(text: str, seed: int) -> None:
    before, after = re.findall(r"\w+", text), re.findall(r"\w+", EDITS["slips"][1](text, rng(seed)))
    slipped = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(slipped) <= 3
    for old, new in slipped:
        assert len(old) > 6
        assert not is_guarded(old)
        assert abs(len(old) - len(new)) <= 1


@pytest.mark.parametrize(
    "word", ["Embargos", "assouplissement", "inefficace", "déraisonnable", "Sanctionner", "jamais"]
)
def test_typography_guards_words_that_carry_the_label(word: str) -> None:
    assert is_guarded(word)


def test_typography_leaves_quotes_inside_quotes() -> None:
    text = "« Le mot “verrou” est faux », dit-il."
    assert {EDITS["quotes"][1](text, rng(seed)) for seed in range(20)} == {text}
    assert {EDITS["quotes"][1]("Le mot « faux » reste.", rng(seed)) for seed in range(40)} == {
        "Le mot « faux » reste.",
        "Le mot «\u00a0faux\u00a0» reste.",
        "Le mot “faux” reste.",
        'Le mot "faux" reste.',
    }
