import pytest

from inference.language import looks_french

FRENCH = """Le ministère a confirmé mardi que les licences accordées aux fabricants de composants resteraient valables
jusqu'à la fin de l'année, sans préciser si elles seraient ensuite renouvelées ou remplacées par un autre régime."""
ENGLISH = """The ministry confirmed on Tuesday that the licences granted to the makers of these parts would remain valid
until the end of the year, but it did not say whether they would then be renewed or replaced by another scheme."""
GERMAN = """Das Ministerium hat am Dienstag bestätigt, dass die Lizenzen für die Hersteller dieser Bauteile bis zum Ende
des Jahres gültig bleiben, ohne zu sagen, ob sie danach verlängert oder durch eine andere Regelung ersetzt werden."""
SPANISH = """El ministerio confirmó el martes que las licencias concedidas a los fabricantes de estos componentes
seguirán siendo válidas hasta el final del año, pero no dijo si después se renovarán o si habrá otro
régimen en su lugar."""
ITALIAN = """Il ministero ha confermato martedì che le licenze concesse ai produttori di questi componenti resteranno
valide fino alla fine dell'anno, ma non ha detto se poi saranno rinnovate o sostituite da un altro regime."""
PORTUGUESE = """O ministério confirmou na terça-feira que as licenças dadas aos fabricantes destes componentes continuam
válidas até ao fim do ano, mas não disse se depois serão renovadas ou trocadas por um outro regime para o setor."""
DUTCH = """Het ministerie heeft dinsdag bevestigd dat de vergunningen voor de makers van deze onderdelen tot het einde
van het jaar geldig blijven, maar zei niet of ze daarna worden verlengd of door een andere regeling vervangen."""
RUSSIAN = """Министерство подтвердило во вторник, что лицензии, выданные производителям этих деталей, останутся в силе
до конца года, но не сказало, будут ли они затем продлены или заменены другим порядком."""
CHINESE = (
    "商务部周二确认，发给这些零部件制造商的许可证在今年年底之前仍"
    "然有效，但没有说明之后是否会续期，或者由另一种制度取代。"
)


def test_language_french_is_french() -> None:
    assert looks_french(FRENCH)
    assert looks_french(FRENCH.upper())
    assert looks_french(FRENCH.replace("'", "’"))


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, SPANISH, ITALIAN, PORTUGUESE, DUTCH, RUSSIAN, CHINESE])
def test_language_others_are_not(text: str) -> None:
    assert not looks_french(text)


def test_language_names_and_quotations_do_not_change_french() -> None:
    assert looks_french(FRENCH + " La formule « America first, and the rest of the world will follow » a déplu.")


@pytest.mark.parametrize("text", ["", "The end.", "42 — 17 %", "Too short a text to tell, all of it English words"])
def test_language_too_short_to_tell_is_not_flagged(text: str) -> None:
    assert looks_french(text)


def test_language_a_long_list_without_function_words_is_not_french() -> None:
    assert not looks_french("acier cuivre nickel cobalt lithium " * 10)
