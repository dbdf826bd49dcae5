"""Languages as model cards write them (ISO 639-1), and as we do (ISO 639-3 and script)."""

_TAGS = """
af afr-Latn|ar ara-Arab|az aze-Latn|be bel-Cyrl|bg bul-Cyrl|bn ben-Beng|bs bos-Latn|ca cat-Latn|cs ces-Latn|cy cym-Latn
da dan-Latn|de deu-Latn|el ell-Grek|en eng-Latn|eo epo-Latn|es spa-Latn|et est-Latn|eu eus-Latn|fa fas-Arab|fi fin-Latn
fr fra-Latn|ga gle-Latn|gl glg-Latn|gu guj-Gujr|he heb-Hebr|hi hin-Deva|hr hrv-Latn|hu hun-Latn|hy hye-Armn|id ind-Latn
is isl-Latn|it ita-Latn|ja jpn-Jpan|ka kat-Geor|kk kaz-Cyrl|km khm-Khmr|kn kan-Knda|ko kor-Hang|la lat-Latn|lt lit-Latn
lv lav-Latn|mk mkd-Cyrl|ml mal-Mlym|mn mon-Cyrl|mr mar-Deva|ms msa-Latn|my mya-Mymr|nb nob-Latn|ne nep-Deva|nl nld-Latn
nn nno-Latn|no nor-Latn|pa pan-Guru|pl pol-Latn|pt por-Latn|ro ron-Latn|ru rus-Cyrl|si sin-Sinh|sk slk-Latn|sl slv-Latn
sq sqi-Latn|sr srp-Cyrl|sv swe-Latn|sw swa-Latn|ta tam-Taml|te tel-Telu|th tha-Thai|tl tgl-Latn|tr tur-Latn|uk ukr-Cyrl
ur urd-Arab|uz uzb-Latn|vi vie-Latn|yi yid-Hebr|zh cmn-Hans|zu zul-Latn
"""
TAGS = dict(pair.split(" ") for pair in _TAGS.strip().replace("\n", "|").split("|"))


def language_tag(code: str) -> str:
    """ISO 639-3 and script for a two-letter code; anything else unchanged.

    Example:
        >>> language_tag("de"), language_tag("multilingual")
        ('deu-Latn', 'multilingual')
    """
    return TAGS.get(code, code)
