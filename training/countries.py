"""Countries as French grammar sees them: gender, article, adjective, capital."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """A country: its names, all of one ``kind`` of grammar, its adjective in four forms, its capital as a metonym.

    ``kind`` is gender, number and article: ``f``, ``m``, ``mp`` (plural), ``bare`` (no article). ``forms`` are
    masculine singular and plural, feminine singular and plural.
    """

    kind: str
    names: tuple[str, ...]
    forms: tuple[str, str, str, str]
    capital: str | None


def _forms(adjective: str) -> tuple[str, str, str, str]:
    """The four forms of an adjective of nationality from its masculine singular (and its feminine after a slash)."""
    masculine, _, feminine = adjective.partition("/")
    if not feminine:
        if masculine.endswith("ien"):
            feminine = masculine + "ne"
        elif masculine.endswith("e"):
            feminine = masculine
        else:
            feminine = masculine + "e"
    plural = masculine if masculine.endswith("s") else masculine + "s"
    return masculine, plural, feminine, feminine + "s"


def _countries() -> tuple[Country, ...]:
    found = []
    for line in _TABLE.strip().splitlines():
        kind, names, adjective, capital = (part.strip() for part in line.split("|"))
        found.append(Country(kind, tuple(names.split(", ")), _forms(adjective), capital or None))
    return tuple(found)


# kind | names | adjective | capital. Capitals whose name holds an article that contracts (Le Caire) or that means a
# bloc (Bruxelles) are left out.
_TABLE = """
f | Chine | chinois | Pékin
f | France | français | Paris
f | Russie | russe | Moscou
f | Suisse | suisse | Berne
f | Corée du Sud, Corée | coréen | Séoul
f | Turquie | turc/turque | Ankara
f | Pologne | polonais | Varsovie
f | Norvège | norvégien | Oslo
f | Malaisie | malaisien | Kuala Lumpur
f | Belgique | belge |
f | Lituanie | lituanien | Vilnius
f | Hongrie | hongrois | Budapest
f | Suède | suédois | Stockholm
f | Thaïlande | thaïlandais | Bangkok
f | Slovaquie | slovaque | Bratislava
f | Finlande | finlandais | Helsinki
f | Nouvelle-Zélande | néo-zélandais | Wellington
f | Tchéquie | tchèque | Prague
f | Bulgarie | bulgare | Sofia
f | Roumanie | roumain | Bucarest
f | Colombie | colombien | Bogota
f | Jordanie | jordanien | Amman
f | Tunisie | tunisien | Tunis
f | Serbie | serbe | Belgrade
f | Croatie | croate | Zagreb
f | Slovénie | slovène | Ljubljana
f | Moldavie | moldave | Chisinau
f | Géorgie | géorgien | Tbilissi
f | Tanzanie | tanzanien |
f | Bolivie | bolivien | La Paz
f | Mongolie | mongol | Oulan-Bator
f | Inde | indien | New Delhi
f | Indonésie | indonésien | Jakarta
f | Allemagne | allemand | Berlin
f | Italie | italien | Rome
f | Espagne | espagnol | Madrid
f | Égypte | égyptien |
f | Ukraine | ukrainien | Kiev
f | Australie | australien | Canberra
f | Irlande | irlandais | Dublin
f | Autriche | autrichien | Vienne
f | Argentine | argentin | Buenos Aires
f | Afrique du Sud | sud-africain | Pretoria
f | Algérie | algérien | Alger
f | Éthiopie | éthiopien | Addis-Abeba
f | Arabie saoudite | saoudien | Riyad
f | Estonie | estonien | Tallinn
f | Islande | islandais | Reykjavik
m | Japon | japonais | Tokyo
m | Canada | canadien | Ottawa
m | Royaume-Uni | britannique | Londres
m | Brésil | brésilien | Brasilia
m | Danemark | danois | Copenhague
m | Portugal | portugais | Lisbonne
m | Mexique | mexicain | Mexico
m | Vietnam | vietnamien | Hanoï
m | Kazakhstan | kazakh | Astana
m | Maroc | marocain | Rabat
m | Pakistan | pakistanais | Islamabad
m | Chili | chilien | Santiago
m | Pérou | péruvien | Lima
m | Bangladesh | bangladais | Dacca
m | Sénégal | sénégalais | Dakar
m | Kenya | kényan | Nairobi
m | Nigeria | nigérian | Abuja
m | Ghana | ghanéen/ghanéenne | Accra
m | Cameroun | camerounais | Yaoundé
m | Qatar | qatari | Doha
m | Luxembourg | luxembourgeois |
m | Liban | libanais | Beyrouth
m | Iran | iranien | Téhéran
m | Irak | irakien | Bagdad
m | Équateur | équatorien | Quito
m | Uruguay | uruguayen/uruguayenne | Montevideo
m | Azerbaïdjan | azerbaïdjanais | Bakou
mp | États-Unis | américain | Washington
mp | Pays-Bas | néerlandais | La Haye
mp | Émirats arabes unis, Émirats | émirien | Abou Dhabi
bare | Taïwan | taïwanais | Taipei
bare | Singapour | singapourien |
bare | Cuba | cubain | La Havane
bare | Chypre | chypriote | Nicosie
bare | Malte | maltais | La Valette
bare | Israël | israélien |
bare | Oman | omanais | Mascate
"""

COUNTRIES = _countries()
