"""Spoils a file: in its elements, where their structure is known, and in its bytes, where nothing is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from dicom_tree import Node, Tree, encoded, walk

VRS = (
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV ?? zz"
).split()
CHARSETS = [
    b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13 ", b"ISO_IR 144", b"GB18030 ", b"GBK ",
    b"ISO 2022 IR 6\\ISO 2022 IR 87 ", b"ISO 2022 IR 6\\ISO 2022 IR 149",
    b"\\ISO 2022 IR 58", b"ISO_IR 999", b"latin1", b"utf-16", b"rot13 ", b"\xff\xfe",
]  # fmt: skip
TAGS = [
    0x00000002, 0x00020010, 0x00041220, 0x00080000, 0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060,
    0x00080070, 0x00080104, 0x00081140, 0x00082111, 0x00082218, 0x00089999, 0x00090010, 0x00091001, 0x00100010,
    0x00100020, 0x00101010, 0x00180060, 0x00181020, 0x0020000D, 0x00200032, 0x00204000, 0x00280010, 0x00282000,
    0x00286010, 0x00340001, 0x0040A730, 0x0040A160, 0x00400555, 0x50003000, 0x60000022, 0x60003000, 0x7F000010,
    0x7FE00001, 0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE10010, 0xFFFAFFFA, 0xFFFCFFFC, 0xFFFEE000, 0xFFFEE00D,
    0xFFFEE0DD, 0xFFFFFFFF,
]  # fmt: skip
SYNTAXES = [
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.8.1", "1.2.3", "", "1.2.840.10008.1.2.1.98",
]  # fmt: skip
TOKENS = [b"\0", b"\\", b"^", b"=", b"\x1b$B", b"\x1b(B", b"\xff\xfe", b"\xe2\x80\x8b", b"\r\n", b" ", b"_", b"1", b"Z"]
LENGTHS = [0, 1, 2, 3, 7, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
_DEEPEST_WRAP = 90


@dataclass(frozen=True)
class Mutation:
    """One change: its kind, and two numbers that say where and what."""

    kind: str
    where: int
    what: int


def mutated(tree: Tree, mutations: list[Mutation]) -> bytes:
    """The file after all changes: first those of elements, then those of bytes."""
    tree = copy.deepcopy(tree)
    for one in mutations:
        if one.kind in IN_ELEMENTS:
            places = list(walk(tree.nodes))
            if places:
                nodes, at = places[one.where % len(places)]
                IN_ELEMENTS[one.kind](nodes, at, one.what, tree)
        elif one.kind in IN_FILE:
            IN_FILE[one.kind](tree, one.where, one.what)
    raw = tree.encoded()
    for one in mutations:
        if one.kind in IN_BYTES and raw:
            raw = IN_BYTES[one.kind](raw, one.where, one.what)
    return raw


def _retag(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes[at].tag = TAGS[what % len(TAGS)]


def _flip_tag(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes[at].tag ^= 1 << what % 32


def _revr(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes[at].vr = VRS[what % len(VRS)]


def _relength(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    node = nodes[at]
    true = len(node.value) if isinstance(node.value, bytes) else 8
    node.length = LENGTHS[what % len(LENGTHS)] if what % 2 else max(0, true + what // 2 % 65 - 32)


def _duplicate(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes.insert(what % (len(nodes) + 1), copy.deepcopy(nodes[at]))


def _move(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    node = nodes.pop(at)
    nodes.insert(what % (len(nodes) + 1), node)


def _delete(nodes: list[Node], at: int, _what: int, _tree: Tree) -> None:
    del nodes[at]


def _swap(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    other = nodes[what % len(nodes)]
    nodes[at].value, other.value = other.value, nodes[at].value


def _copy_value(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes[what % len(nodes)].value = copy.deepcopy(nodes[at].value)


def _nest(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    """Deeper and deeper, in a sequence that may stay, one that goes, one nobody knows, or a private one."""
    tag = (0x00082218, 0x00081140, 0x00400275, 0x00089F9C, 0x00991005)[what % 5]
    node = nodes[at]
    for _ in range(1 + (what // 5) % (_DEEPEST_WRAP if what % 7 == 0 else 3)):
        node = Node(tag, "SQ", [[node]], undefined=what % 3 == 0)
    nodes[at] = node


def _as_unknown(nodes: list[Node], at: int, what: int, tree: Tree) -> None:
    """A sequence within UN is encoded in implicit VR (PS3.5 6.2.2); a liar's is not."""
    node = nodes[at]
    if isinstance(node.value, list):
        inner = encoded(Node(node.tag, "SQ", node.value), implicit=what % 3 != 0, order="little")
        node.value = inner[8 if what % 3 != 0 else 12 :]
    node.vr, node.undefined = "UN", what % 2 == 0
    if what % 11 == 0 and not tree.implicit:
        node.value += b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 9000


def _undefined(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes[at].undefined, nodes[at].ends = True, what % 3 != 0


def _drop_delimiters(nodes: list[Node], at: int, _what: int, _tree: Tree) -> None:
    nodes[at].ends = False


def _into_value(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    node, token = nodes[at], TOKENS[what % len(TOKENS)]
    if isinstance(node.value, bytes):
        place = what // len(TOKENS) % (len(node.value) + 1)
        node.value = node.value[:place] + token + node.value[place:]


def _lengthen(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    if isinstance(nodes[at].value, bytes):
        nodes[at].value = nodes[at].value * (2 + what % 9) + b" pad " * (what % 4 * 5000)  # type: ignore[operator]


def _into_private(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    block = 0x10 + what % 0xF0
    group = 0x00090000 + (what % 5) * 0x20000
    nodes.append(Node(group | block, "LO", (b"SIEMENS MR HEADER ", b"GEMS_PARM_01", b"ELSCINT1")[what % 3]))
    nodes.append(Node(group | block << 8 | what % 0x40, nodes[at].vr, copy.deepcopy(nodes[at].value)))
    nodes.sort(key=lambda node: node.tag)


def _charset(nodes: list[Node], at: int, what: int, _tree: Tree) -> None:
    nodes.insert(0, Node(0x00080005, "CS", CHARSETS[what % len(CHARSETS)]))
    for extra in [node for node in nodes[1:] if node.tag == 0x00080005]:
        nodes.remove(extra)


def _lie(tree: Tree, where: int, what: int) -> None:
    for node in tree.meta:
        if node.tag == 0x00020010:
            node.value = SYNTAXES[what % len(SYNTAXES)].encode()


def _reencode(tree: Tree, where: int, what: int) -> None:
    """In another of the native transfer syntaxes, whatever the file meta says: with `lie`, a true one."""
    tree.transfer_syntax = SYNTAXES[what % 4]
    if where % 2:
        _lie(tree, where, what % 4)


def _spoil_meta(tree: Tree, where: int, what: int) -> None:
    if not tree.meta:
        return
    at = where % len(tree.meta)
    if what % 4 == 0:
        del tree.meta[at]
    elif what % 4 == 1:
        _relength(tree.meta, at, what // 4, tree)
    elif what % 4 == 2:
        _flip_tag(tree.meta, at, what // 4, tree)
    else:
        tree.meta.insert(0, Node(0x00020000, "UL", (what * 7 % 70000).to_bytes(4, "little")))


def _spoil_preamble(tree: Tree, where: int, what: int) -> None:
    tree.preamble = (b"", tree.preamble[128:], tree.preamble[:128], tree.preamble[: where % 132])[what % 4]


def _trail(tree: Tree, where: int, what: int) -> None:
    tree.trailing = (b"Schwanzoid", b"Schwanzoid" * 1000, bytes(where % 64), b"\x10\x00\x10\x00PN\x0c\x00Schwanzoid  ")[
        what % 4
    ]


def _flip(raw: bytes, where: int, what: int) -> bytes:
    at = _header_place(raw, where)
    return raw[:at] + bytes([raw[at] ^ 1 << what % 8]) + raw[at + 1 :]


def _overwrite(raw: bytes, where: int, what: int) -> bytes:
    at = _header_place(raw, where)
    new = (what * 2654435761).to_bytes(8, "little")[: 1 + what % 8]
    return raw[:at] + new + raw[at + len(new) :]


def _truncate(raw: bytes, where: int, _what: int) -> bytes:
    return raw[: _header_place(raw, where)] if where % 4 else raw[: where % len(raw)]


def _cut_out(raw: bytes, where: int, what: int) -> bytes:
    at = _header_place(raw, where)
    return raw[:at] + raw[at + 1 + what % 64 :]


def _put_in(raw: bytes, where: int, what: int) -> bytes:
    at = _header_place(raw, where)
    return raw[:at] + TOKENS[what % len(TOKENS)] * (1 + what % 5) + raw[at:]


def _copy_range(raw: bytes, where: int, what: int) -> bytes:
    at, start = _header_place(raw, where), _header_place(raw, what)
    return raw[:at] + raw[start : start + 8 + what % 200] + raw[at:]


def _header_place(raw: bytes, where: int) -> int:
    """Somewhere in the first 8 KB, where headers are, and nine times out of ten behind preamble and file meta."""
    start = 0 if where % 10 == 0 else min(300, len(raw) - 1)
    return start + where * 7919 % max(1, min(len(raw), 8192) - start)


IN_ELEMENTS: dict[str, Callable[[list[Node], int, int, Tree], None]] = {
    "retag": _retag, "flip tag": _flip_tag, "revr": _revr, "relength": _relength, "duplicate": _duplicate,
    "move": _move, "delete": _delete, "swap values": _swap, "copy value": _copy_value, "nest": _nest,
    "as unknown": _as_unknown, "undefined": _undefined, "drop delimiters": _drop_delimiters,
    "into value": _into_value, "lengthen": _lengthen, "into private": _into_private, "charset": _charset,
}  # fmt: skip
IN_FILE: dict[str, Callable[[Tree, int, int], None]] = {
    "lie": _lie, "reencode": _reencode, "spoil meta": _spoil_meta, "spoil preamble": _spoil_preamble, "trail": _trail,
}  # fmt: skip
IN_BYTES: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip, "overwrite": _overwrite, "truncate": _truncate, "cut out": _cut_out, "put in": _put_in,
    "copy range": _copy_range,
}  # fmt: skip
KINDS = [*IN_ELEMENTS, *IN_FILE, *IN_BYTES]
