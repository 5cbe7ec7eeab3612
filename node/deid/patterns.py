"""Finds what identifies by its form in free text: contacts, addresses, institutions, numbers of people and orders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .names import CAPITALISED as _CAP
from .names import Span, is_common_name
from .registry import is_of_the_standard
from .words import is_clinical, is_known

_CONTACT = re.compile(
    r"(?i:(?:https?|ftp|dicom|file)://\S+|\bwww\.\S+|(?:mailto:)?[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"
    r"|\\\\[\w.$-]+(?:\\[\w.$-]+)*"
    r"|\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.(?:local|lan|internal|example|intra|corp|home|arpa)\b"
    r"|\b(?:[a-z][\w-]{0,62}\.){1,8}(?:com|org|net|edu|gov|mil|info|health)\b(?:/\S*)?"
    r"|\b(?:[a-z][\w-]{1,62}\.){2,8}[a-z]{2}\b(?:/\S*)?"
    r"|(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){1,7}(?::[0-9a-f]{1,4}){1,7}(?![\w:])"
    r"|\b(?:desktop|laptop|pacs|ris|wks|srv|server|workstation|host|pc|client)-[\w-]*\d[\w-]*)"
)
_HOST = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
# Networks inside a house (RFC 1918), with more digits than versions of programs have.
_IN_HOUSE, _LEAST_IN_HOUSE, _LEAST_OF_HOST = re.compile(r"10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\."), 7, 9
# Without one of these in a text, the patterns that need them are not tried.
_MARKS, _DIGIT = re.compile(r"[@/\\.:-]"), re.compile(r"\d")
_PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ ./-]?)?\(?\d{2,5}\)?[ ./-]\d{2,5}(?:[ ./-]\d{2,5}){1,3}(?![\w.]\d|\w)"
    r"|(?<!\w)\+\d[\d ./()-]{6,}\d|(?<![\w.])\(\d{2,5}\) ?\d{3,}(?:[ -]\d{2,})*"
)
_DIGITS = re.compile(
    r"(?<![^\W_])(?<!\d[.,])(?>[^\W_\d]*+\d[^\W_]*+)(?:[-/](?>[^\W_\d]*+\d[^\W_]*+))*+(?![^\W_])(?!\.\d)"
)
# Below roots at which organizations and devices are registered, and UUIDs (PS3.5 9.1, B.2).
_UID = re.compile(r"(?<![\d.])(?:1\.(?:2|3)|2\.(?:16|25))(?:\.(?:0|[1-9]\d{0,38})){1,30}(?!\.?\d)")
_LEAST_DOTS, _SHORTEST_UID = 2, 20
_YEARS = re.compile(r"(?:19|20)\d\d[-/](?:19|20)?\d\d")
_SIZES = re.compile(r"\d{1,4}(?:[xX]\d{1,4}){1,2}")
_CHAIN = re.compile(r"\d{1,4}(?:-\d{1,4}|(?:/\d{1,4}){1,7})")
_COUNT = re.compile(r"\d{5,9}")
_UNIT = re.compile(
    r" ?(?:microns?|[µu]m|mm[23²³]?|cm[23²³]?|ms|msec|sec|mg|ml|mL|HU|Hz|kHz|MHz|kVp?|mAs?|[mc]?Gy|[kMG]?Bq|mCi|cc|mmHg"
    r"|k?counts|cps|px|pixels?|voxels?|cells|/[µu][lL])(?![\w/])"
)
_SETTING = re.compile(
    r"(?i:(?<![^\W_])(?:tr|te|ti|fov|matrix|mtx|ww|wl|w/l|window|kvp?|mas?|res|b|b-values?|slices?|frames?"
    r"|images?|range)[ :=]{1,2})$"
)
_RATIO = re.compile(r"(?i:(?<![^\W_])(?:bp|rr|va|visus)[ :=]{1,2})$")
_COUNTED = re.compile(
    r"(?i:(?<![^\W_])(?:dlp|suv|voxels?|pixels?|counts?|platelets|plt|thrombozyten|leukozyten|wbc|ctdi)[ :=]{1,2})$"
)
# Codes of these say what something is.
_CODE = re.compile(
    r"(?i:(?<![^\W_])(?:cpt|hcpcs|icd(?:[ -]?(?:9|10)(?:-?cm)?)?|loinc|snomed(?:[ -](?:ct|rt))?|sct|radlex|ops|ebm)"
    r"[ :#=]{1,2})$"
)
_LONGEST_CODE = 9
_LABELLED = re.compile(
    r"(?i:(?<![^\W_])(?:mrn|pid|ssn|sin|nhs|chi|acc(?:ession)?|id|pat(?:ient)?[ -]?id|case|account|acct|record|order|"
    r"chart|policy|insurance|serial|s/n|sn|ref(?:erence)?|req(?:uest)?|room|ward|bed|tel|phone|ph|fax|mobile|cell|ext|pager|"
    r"zip|licen[sc]e|visit|encounter|episode|admission|no|nr|num(?:ber)?)(?:\s?(?:no|nr|num(?:ber)?))?\.?\s?[:#=]?\s?#?\s?)"
    r"(?P<id>[A-Za-z0-9][\w/-]{0,63}\d[\w/-]{0,63})"
)
_LABELLED_GROUPS = re.compile(
    r"(?i:(?<![^\W_])(?:mrn|pid|ssn|nhs|nir|chi|pin|pat(?:ient)?[ .-]*(?:id|nr)|accession|fallnummer)\b[ :#=.]{0,3})"
    r"(?P<id>\d{1,6}(?:[ ./-]\d{1,6}){1,7})(?![\w])"
)
_LEAST_LABELLED = 5
_STREET = (
    r"street|st|road|rd|avenue|ave|av|boulevard|blvd|lane|ln|drive|dr|court|ct|terrace|ter|place|pl|square|sq|passage|"
    r"turnpike|pike|highway|hwy|parkway|pkwy|way|row|walk|close|crescent|cres|grove|gardens?|mews|hill|rise|alley|"
    r"circle|cir|trail|trl|path|loop|quay|wharf|bypass|crossing|view|ridge|heights|park|plaza|esplanade|parade|green|"
    r"common|gate|vale|dale|bend|landing|point|run|glen|causeway|embankment|promenade|route|stra(?:ss|ß)e|str|weg|"
    r"approach|yards?|chase|spinney|reach|wynd|steps|broadway|strand|meadows?|orchards?|villas|cottages|estate|hollow|"
    r"knoll|manor|mount|oval|springs|vista|village|cove|creek|bluff|canyon|corner|dell|garth|harbou?r|trace|viaduct|"
    r"platz|allee|gasse|laan|straat|plein|gatan|vej|via|calle"
)
_WEAK_STREET = frozenset(
    "dr st ct pl sq way row walk close rise path loop view ridge point common bend run route green hill circle "
    "approach yard yards chase reach steps strand mount oval springs vista corner trace creek hollow".split()
)
# Of Great Britain, where two letters say the place (one, as in L4, is a vertebra), and of Canada.
_POSTCODE = (
    r"(?:A[BL]|B[ABDHLNRST]|C[ABFHMORVW]|D[ADEGHLNY]|E[CHNX]|FY|G[LU]|H[ADGPRSUX]|I[GPV]|K[ATWY]|L[ADENSU]|M[EKL]|N[EGNPRW]"
    r"|O[LX]|P[HLO]|R[GHM]|S[AGKLMNOPRSTWY]|T[ADFNQW]|UB|W[ACDFNRSV]|YO|ZE)\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}"
    r"|[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d"
)
_ADDRESS = re.compile(
    rf"(?<![\w.])\d{{1,5}}[A-Za-z]?,? (?:{_CAP}\.? ){{1,4}}(?i:{_STREET})\b\.?"
    rf"(?:,? (?:(?i:apt|apartment|suite|ste|unit|floor|flat|no)\.? ?#?\w+))?"
    rf"(?:,\s?{_CAP}(?: {_CAP}){{0,2}}?,? (?:{_POSTCODE})(?!\w)"
    rf"|,\s?{_CAP}(?: {_CAP}){{0,2}}(?:,? [A-Z]{{2}})?(?:,? \d{{4,6}})?)?"
    rf"|{_CAP}(?i:stra(?:ss|ß)e|str\.|gasse|weg|platz|allee|laan|straat|gatan|vej) ?\d+\w?"
    rf"(?:,? \d{{4,5}} {_CAP})?"
    rf"|(?<!\w)(?:\d+,? )?(?:(?i:rue|avenue|boulevard|calle|avenida|(?-i:Via|Viale)|piazza|plaza) "
    rf"(?:(?:de|du|des|della|del|la|le|les) )*)"
    rf"{_CAP}(?: {_CAP})*(?:,? \d+)?"
    rf"|(?<!\w)(?:{_POSTCODE})(?!\w)|(?i:p\.? ?o\.? box) \d+|(?<![\w.])\d{{5}} {_CAP}(?=[,.;]|$)"
)
_INSTITUTE = (
    r"Hospitals?|Infirmary|Clinics?|Klinik(?:um)?|Krankenhaus|Spital|Sanatorium|Hospice|University|Universit(?:y|ät|é)|"
    r"College|Polyclinic|Poliklinik|Policlinico|Clinique|Orthop(?:a)?edics?|Radiologists|Surgery|Ospedale|Ziekenhuis|H[oô]pital|Foundation|Trust|Charit[eé]|"
    r"Medical (?:Center|Centre|Group)|"
    r"(?:Imaging|Health|Heart|Cancer|Radiology|Diagnostic|Diagnostics|Care|Surgical|Community|Regional) "
    r"(?:Center|Centre|Institute|Partners|Associates|Group|Services|Network|Campus)|Center|Centre|Institute|Sanitarium"
)
_PLACE = re.compile(
    rf"(?<![\w'’-])(?P<name>(?:(?:{_CAP}\.?|of|the|and|&|for) ){{0,5}}{_CAP}\.?) "
    rf"(?:{_INSTITUTE}|(?i:{_INSTITUTE})(?=\W|$))(?!\w)"
    rf"(?: (?:of|for|at|in) (?:the )?{_CAP}(?: {_CAP})*)?"
    rf"|(?i:ospedale|policlinico|h[oô]pital|hospital|cl[ií]nica|clinique|universit(?:y|à|é|ät)|"
    rf"(?:universitäts)?klinik(?:um)?|krankenhaus|spital|poliklinik|praxis|mvz|ziekenhuis|umc|chru?|chu|"
    rf"centre hospitalier|centro m[eé]dico|santa casa|casa di cura|azienda ospedaliera|"
    rf"istituto|instituto|institut|sanatorio) "
    rf"(?P<after>(?:(?i:of|de|di|la|le|du|do|da|dos|das|des|del|della|für|for|dr|st)\.? ){{0,3}}"
    rf"{_CAP}(?: (?:(?:de|di|da|do) )?{_CAP}){{0,4}})"
)
_GENERIC_PLACE = frozenset("data center centre visible human rotation image the of and for stroke study core".split())


def contacts_in(text: str, *, strict: bool) -> Iterator[Span]:
    """Mail and web addresses, paths, and telephone numbers; without `strict`, only the certain ones."""
    if _MARKS.search(text):
        yield from (match.span() for match in _CONTACT.finditer(text))
    if not _DIGIT.search(text):
        return
    for match in _HOST.finditer(text):
        if strict or _is_host(match[0]):
            yield match.span()
    for match in _PHONE.finditer(text):
        digits = sum(one.isdigit() for one in match[0])
        is_counted = _YEARS.fullmatch(match[0]) or _is_measure(text, match)
        if digits >= 7 and (strict or match[0][0] in "+(") and not is_counted:
            yield match.span()


def _is_host(dotted: str) -> bool:
    """Whether four numbers in the text of a device are an address of the network, rather than a version."""
    least = _LEAST_IN_HOUSE if _IN_HOUSE.match(dotted) else _LEAST_OF_HOST
    return len(dotted) - dotted.count(".") >= least


def uids_in(text: str) -> Iterator[Span]:
    """UIDs that are not the standard's own: they lead to whoever made them, and to other objects."""
    if text.count(".") < _LEAST_DOTS:
        return
    for match in _UID.finditer(text):
        if len(match[0]) >= _SHORTEST_UID and not is_of_the_standard(match[0]):
            yield match.span()


def places_in(text: str) -> list[Span]:
    """Addresses and institutions."""
    spans = [match.span() for match in _ADDRESS.finditer(text) if not _is_count(match[0])]
    for match in _PLACE.finditer(text):
        words = [word for word in re.findall(r"[^\W\d_]+", match["name"] or "") if word.lower() not in _GENERIC_PLACE]
        before = text[: match.start()].rstrip().rpartition(" ")[2].lower()
        if match["name"] is None:
            after = re.findall(r"[^\W\d_]+", match["after"])
            if after[0].islower() or not all(is_clinical(word) and not is_common_name(word) for word in after):
                spans.append(match.span())
            continue
        words = [word for word in words if len(word) > 3 or not word.isupper()]
        if (
            any(not is_known(word) for word in words)
            or before in ("at", "from", "@")
            or (words and not all(is_clinical(word) for word in words))
        ):
            spans.append(match.span())
    return spans


def _is_count(found: str) -> bool:
    """Whether what looks like an address is a number of something: "2 LATERAL VIEWS Dr", "120 SECOND TRACE"."""
    number, *words = re.findall(r"[^\W_]+", found)
    digits = number.rstrip("abcdefABCDEF")
    if not digits.isdigit() or not words or words[-1].lower() not in _WEAK_STREET:
        return False
    return (len(digits) <= 2 or found.isupper()) and all(map(is_clinical, words[:-1]))


def numbers_in(text: str) -> Iterator[Span]:
    """What has so many digits that it counts somebody rather than something."""
    if not _DIGIT.search(text):
        return
    for match in _DIGITS.finditer(text):
        digits = sum(one.isdigit() for one in match[0])
        if (
            digits >= 5
            and not any(one.fullmatch(match[0]) for one in (_YEARS, _SIZES))
            and not _is_measure(text, match)
        ):
            yield match.span()
    for match in _LABELLED.finditer(text):
        if sum(one.isdigit() for one in match["id"]) >= 3 or len(match["id"]) >= 5:
            yield match.span("id")
    for match in _LABELLED_GROUPS.finditer(text):
        if sum(one.isdigit() for one in match["id"]) >= _LEAST_LABELLED:
            yield match.span("id")
    for match in re.finditer(r"(?<!\d)(?:\d+\.){3,}\d+", text):
        if len(match[0]) >= 15:
            yield match.span()


def _is_measure(text: str, number: re.Match[str]) -> bool:
    """Whether short numbers are settings, a range or a ratio ("TR/TE 2500/85", "500-700 microns", "BP 120/80"), or a
    long one counts something ("370000 kBq", "DLP 12345") or is the code of something ("CPT 71260")."""
    before = text[max(0, number.start() - 16) : number.start()]
    if _CODE.search(before) and sum(map(str.isdigit, number[0])) <= _LONGEST_CODE:
        return True
    before = before.rstrip("0123456789/")  # what stands before the whole list
    if _CHAIN.fullmatch(number[0]):
        is_ratio = "/" in number[0] and _RATIO.search(before)
        return bool(is_ratio or _UNIT.match(text, number.end()) or _SETTING.search(before))
    return _COUNT.fullmatch(number[0]) is not None and bool(_UNIT.match(text, number.end()) or _COUNTED.search(before))
