"""Plants identifiers that no real file has in real files, in every kind of place: where an identifier belongs,
where the profile removes whatever there is, and in texts that may stay."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path

from dicom_tree import Node, Tree, tree_of
from pydicom.data import get_testdata_file

NAMES = [
    "CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm",
    "MR_small_RLE.dcm", "rtplan.dcm", "rtdose_1frame.dcm", "reportsi.dcm", "test-SR.dcm", "liver_1frame.dcm",
    "693_J2KI.dcm", "SC_rgb_small_odd.dcm", "rtplan_truncated.dcm", "UN_sequence.dcm", "badVR.dcm",
]  # fmt: skip
STUDY, SERIES, INSTANCE, FRAME = (f"1.2.999.887766.7741.{number}" for number in (1, 2, 3, 4))
PLANTED = (
    "Quixelbrugh", "Zanthoria", "Wolfenstryk", "Ombert", "Brackwaldt", "PLT7741903", "ACN8830172",
    "19470613", "20110927", STUDY, SERIES, INSTANCE, FRAME,
    "Kommentzix", "Bemerkwort", "Prozedurix", "Kreatorix", "Vortiganze", "Privunculus", "Unbekantor", "Preambukt",
    "Metawirble", "Schwanzoid", "Misplazier", "Zülpikhöser",
)  # fmt: skip


def _creator() -> Node:
    return Node(0x00990010, "LO", b"Kreatorix ")


def _meaning() -> Node:
    return Node(0x00080104, "LO", b"Head of Quixelbrugh ")


_REMOVED = [
    Node(0x00204000, "LT", b"Kommentzix seen in the chest"),
    Node(0x00104000, "LT", b"a Bemerkwort"),
    Node(0x00400275, "SQ", [[Node(0x00321060, "LO", b"Prozedurix")]]),
    Node(0x00041130, "CS", b"Misplazier"),
    Node(0x00089F9E, "LO", b"Unbekantor"),
    _creator(),
    Node(0x00991001, "LO", b"Vortiganze"),
    Node(0x00991002, "SQ", [[_creator(), Node(0x00991003, "PN", b"Privunculus^Max ")]]),
    Node(0x00991004, "UN", b"Vortiganze and Zanthoria"),
]
_NAMED = [
    Node(0x00080020, "DA", b"20110927"),
    Node(0x00080050, "SH", b"ACN8830172"),
    Node(0x00080080, "LO", b"Brackwaldt Infirmary"),
    Node(0x00080090, "PN", b"Wolfenstryk^Ombert"),
    Node(0x00081070, "PN", b"Wolfenstryk^Ombert\\Quixelbrugh^Zanthoria "),
    Node(0x00100010, "PN", b"Quixelbrugh^Zanthoria "),
    Node(0x00100020, "LO", b"PLT7741903"),
    Node(0x00100030, "DA", b"19470613"),
    Node(0x00101000, "LO", b"PLT7741903"),
    Node(0x00101001, "PN", b"Quixelbrugh^Zanthoria\\Z\xfclpikh\xf6ser^Max"),
    Node(0x0020000D, "UI", STUDY.encode()),
    Node(0x0020000E, "UI", SERIES.encode()),
    Node(0x00080018, "UI", INSTANCE.encode()),
    Node(0x00200052, "UI", FRAME.encode()),
]
_KEPT = [
    Node(0x00080005, "CS", b"ISO_IR 100"),
    Node(0x00081090, "LO", b"Model of Z\xfclpikh\xf6ser "),
    Node(0x00082218, "SQ", [[_meaning(), Node(0x00082220, "SQ", [[_meaning()]])]]),
    Node(0x00180024, "SH", b"ACN8830172"),
    Node(0x00181020, "LO", b"v2 Brackwaldt 20110927"),
    Node(0x00181160, "SH", b"Zanthoria "),
    Node(0x00185010, "LO", SERIES.encode()),
    Node(0x00201040, "LO", b"PLT7741903"),
    Node(0x00281055, "LO", b"Ombert"),
    Node(0x00282000, "OB", b"\0\x01\x02\0Quixelbrugh\0"),
    Node(0x00282114, "CS", b"QUIXELBRUGH "),
    Node(0x00250010, "LO", b"GEMS_SERS_01"),  # two blocks of Table E.3.10-1
    Node(0x00251007, "SL", b"\x07\0\0\0"),
    Node(0x00430010, "LO", b"GEMS_PARM_01"),
    Node(0x00431027, "SH", b"Zanthoria "),
    Node(0x0043106F, "DS", b"1.5\\2 "),
]
_CT = Node(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0")
_PREAMBLE = b"Preambukt".ljust(128, b"\0") + b"DICM"
_TRAILING = Node(0xFFFCFFFC, "OB", b"Schwanzoid")
_META = Node(0x00020102, "OB", b"Metawirble")


@cache
def seed(name: str) -> Tree:
    """A file of pydicom's with everything planted in it. Not to be changed: take a copy."""
    tree = tree_of(Path(str(get_testdata_file(name))).read_bytes())
    planted = {node.tag: node for node in (*_REMOVED, *_NAMED, *_KEPT)}
    nodes = {0x00080016: _CT, **{node.tag: node for node in tree.nodes}, **planted}
    tree.nodes = [*(nodes[tag] for tag in sorted(nodes)), _TRAILING]
    tree.meta = [*(_instance(node) for node in tree.meta), _META]
    tree.preamble = _PREAMBLE
    return tree


@cache
def usual_seed(name: str) -> Tree:
    """The same without what no sender would put into a data set. Not to be changed: take a copy."""
    tree = deepcopy(seed(name))
    tree.nodes = [node for node in tree.nodes if node.tag >= 0x00080000]
    return tree


def _instance(node: Node) -> Node:
    return Node(node.tag, node.vr, INSTANCE.encode()) if node.tag == 0x00020003 else node
