"""Which languages a part of a dataset is in, told from its name."""

import re
from collections.abc import Sequence
from typing import Final

_ISO_639_1: Final = (
    "af:afr am:amh ar:ara,arb as:asm az:aze,azj ba:bak be:bel bg:bul bn:ben bo:bod br:bre bs:bos ca:cat "
    "cs:ces cy:cym da:dan de:deu el:ell en:eng eo:epo es:spa et:est,ekk eu:eus fa:fas,pes fi:fin fo:fao "
    "fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn,gug gu:guj gv:glv ha:hau he:heb hi:hin hr:hrv ht:hat hu:hun "
    "hy:hye id:ind ig:ibo is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz km:khm kn:kan ko:kor ku:kur,kmr ky:kir "
    "la:lat lb:ltz lo:lao lt:lit lv:lav,lvs mg:mlg,plt mi:mri mk:mkd ml:mal mn:mon,khk mr:mar ms:msa,zsm "
    "mt:mlt my:mya nb:nob ne:nep,npi nl:nld nn:nno no:nor,nob,nno oc:oci or:ori,ory pa:pan pl:pol ps:pus,pbt "
    "pt:por qu:que,quy rm:roh ro:ron ru:rus rw:kin sa:san sd:snd si:sin sk:slk sl:slv sm:smo sn:sna so:som "
    "sq:sqi,als sr:srp st:sot su:sun sv:swe sw:swa,swh ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn "
    "tr:tur ts:tso tt:tat ug:uig uk:ukr ur:urd uz:uzb,uzn vi:vie wo:wol xh:xho yi:yid,ydd yo:yor zh:zho,cmn "
    "zu:zul"
)
"""ISO 639-1:639-3; of a macrolanguage also the members that datasets name in its place."""
_TWO_LETTERS: Final = dict(pair.split(":") for pair in _ISO_639_1.split())


def named_languages(name: str, languages: Sequence[str]) -> tuple[str, ...]:
    """The languages of a dataset that the name of one of its parts tells; all of them when it tells none.

    A name tells a language by its ISO 639-3 or 639-1 code, alone or among others between signs, and a script right
    behind a code chooses among the writings of that language.

    Args:
        name: of a subset, such as `spa`, `spa-Latn`, `en`, `eng-spa` or `zho_Hans-eng_Latn`.
        languages: the dataset's, such as `eng-Latn`; a code without a script is one too.

    Returns:
        Some of `languages`, in their order.

    Example:
        >>> named_languages("en-es", ["deu-Latn", "eng-Latn", "spa-Latn"])
        ('eng-Latn', 'spa-Latn')
        >>> named_languages("default", ["deu-Latn", "eng-Latn"])
        ('deu-Latn', 'eng-Latn')
    """
    words = re.split(r"[^A-Za-z]+", name)
    told: set[str] = set()
    for word, after in zip(words, [*words[1:], ""], strict=True):
        codes = _TWO_LETTERS.get(word.lower(), word.lower()).split(",")
        of_code = [language for language in languages if language.partition("-")[0] in codes]
        written = [language for language in of_code if language.partition("-")[2].lower() == after.lower() != ""]
        told.update(written or of_code)
    return tuple(language for language in languages if language in told) or tuple(languages)
