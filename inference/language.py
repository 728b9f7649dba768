"""A cheap flag for text in another language; such text is scored all the same, and flagged.

Method: the share of a language's commonest function words (articles, prepositions, pronouns, forms of *be* and
*have*) among all words of the text. About every second word of French prose is one of them, and a text in another
language shares only a few. A text is held to be French when no other language has a larger share and the French share
is at least MIN_SHARE; a text of mostly non-Latin letters never is. Under MIN_WORDS words are too few to tell: True.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

MIN_WORDS = 20
MIN_SHARE = 0.15
#: Words looked at: shares are steady long before.
SAMPLE_WORDS = 2_000

_FUNCTION_WORDS = {
    "fr": """le la les l un une des du de d au aux à et ou où que qu qui ce c cet cette ces se s sa son ses leur leurs
        il elle ils elles on nous vous je j ne n pas plus par pour dans sur avec sans sous est sont été être a ont avait
        y en lui dont mais si comme entre aussi""",
    "en": """the a an of to and in is are was were be been that this these those it its he she they we you i his her
        their our for on with as at by from or not but have has had will would which who what there if than into""",
    "de": """der die das den dem des ein eine einen einem einer eines und oder ist sind war waren wird werden wurde
        nicht auch mit von zu zum zur im in auf für an am bei aus nach über sich es er sie wir ihr ich dass als wie
        aber hat haben durch um noch nur""",
    "es": """el la los las un una unos unas de del al a y o u que en es son fue ser está están por para con sin sobre
        entre se su sus lo le les no más pero como también ha han este esta estos estas ya muy cuando si""",
    "it": """il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal dalla
        in nel nella nei con su sul sulla per tra fra e o che è sono era si non più ma come anche ha hanno questo
        questa suo sua loro ci se""",
    "pt": """o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem sobre que e ou é
        são foi ser está se seu sua seus suas não mais mas como também ao à aos ele ela eles já""",
    "nl": """de het een van en in is dat op te voor met zijn niet aan er om die ook als bij maar uit door naar heeft
        hebben werd worden wordt over nog dan hij zij we ze dit deze tot""",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")


def looks_french(text: str) -> bool:
    """Whether ``text`` may be French by its function words; True where it is too short to tell."""
    words = [match[0].lower() for match in islice(_WORD.finditer(text), SAMPLE_WORDS)]
    letters = "".join(words)[:SAMPLE_WORDS]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    if len(letters) >= MIN_WORDS and latin * 2 < len(letters):
        return False  # scripts without spaces between words would otherwise count as a few words
    if len(words) < MIN_WORDS:
        return True
    shares = {language: sum(word in known for word in words) / len(words) for language, known in _WORDS.items()}
    return shares["fr"] >= MIN_SHARE and shares["fr"] == max(shares.values())
