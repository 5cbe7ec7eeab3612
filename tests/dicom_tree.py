"""Takes an object apart into elements that may be changed into anything, and writes what has become of them: lengths
that lie, delimiters that lack, VRs that nobody knows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

_LONG_VRS = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_GROUP_LENGTH = 0x00020000
_UNDEFINED = 0xFFFFFFFF


@dataclass
class Node:
    """One element. `length` is what its length field says where it lies; without `ends` its delimiters lack."""

    tag: int
    vr: str
    value: bytes | list[list[Node]]
    length: int | None = None
    undefined: bool = False
    ends: bool = True


@dataclass
class Tree:
    """One file: preamble, file meta elements, data set, and how the latter is encoded."""

    meta: list[Node]
    nodes: list[Node]
    transfer_syntax: str
    preamble: bytes = bytes(128) + b"DICM"
    trailing: bytes = b""

    @property
    def implicit(self) -> bool:
        return self.transfer_syntax == ImplicitVRLittleEndian

    @property
    def order(self) -> str:
        return "big" if self.transfer_syntax == ExplicitVRBigEndian else "little"

    def encoded(self) -> bytes:
        meta = b"".join(encoded(node, implicit=False, order="little") for node in self.meta)
        body = b"".join(encoded(node, implicit=self.implicit, order=self.order) for node in self.nodes)
        if self.transfer_syntax == DeflatedExplicitVRLittleEndian:
            deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            body = deflate.compress(body) + deflate.flush()
        if not any(node.tag == _GROUP_LENGTH for node in self.meta):
            length = Node(_GROUP_LENGTH, "UL", _number(len(meta), 4, "little"))
            meta = encoded(length, implicit=False, order="little") + meta
        return self.preamble + meta + body + self.trailing


def tree_of(raw: bytes) -> Tree:
    """A file as pydicom reads it."""
    ds = pydicom.dcmread(BytesIO(raw), force=True)
    ds.file_meta.ensure_file_meta()
    meta = [Node(tag, vr, value) for tag, vr, value in _plain(ds.file_meta) if tag != _GROUP_LENGTH]
    return Tree(meta, _nodes(ds), str(ds.file_meta.TransferSyntaxUID))


def walk(nodes: list[Node]) -> Iterator[tuple[list[Node], int]]:
    """Every element at every depth: the list it is in and its place there."""
    for at, node in enumerate(nodes):
        yield nodes, at
        if isinstance(node.value, list):
            for item in node.value:
                yield from walk(item)


def encoded(node: Node, *, implicit: bool, order: str) -> bytes:
    """The element as bytes, lies included."""
    value = node.value
    content = b"".join(_item(item, node, implicit, order) for item in value) if isinstance(value, list) else value
    says = _UNDEFINED if node.undefined else len(content) if node.length is None else node.length
    content += _tag(_SEQUENCE_END, order) + bytes(4) if node.undefined and node.ends else b""
    if implicit:
        return _tag(node.tag, order) + _number(says, 4, order) + content
    vr = node.vr.encode("latin-1")[:2].ljust(2)
    size = bytes(2) + _number(says, 4, order) if node.vr in _LONG_VRS else _number(says, 2, order)
    return _tag(node.tag, order) + vr + size + content


def _item(nodes: list[Node], above: Node, implicit: bool, order: str) -> bytes:
    content = b"".join(encoded(node, implicit=implicit, order=order) for node in nodes)
    if not above.undefined:
        return _tag(_ITEM, order) + _number(len(content), 4, order) + content
    end = _tag(_ITEM_END, order) + bytes(4) if above.ends else b""
    return _tag(_ITEM, order) + _number(_UNDEFINED, 4, order) + content + end


def _tag(tag: int, order: str) -> bytes:
    return _number(tag >> 16, 2, order) + _number(tag & 0xFFFF, 2, order)


def _number(value: int, size: int, order: str) -> bytes:
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]


def _nodes(ds: Dataset) -> list[Node]:
    found = []
    for tag in sorted(ds.keys()):
        element = ds.get_item(tag)
        vr = element.VR or _vr(ds, int(tag))
        if vr == "SQ":
            found.append(Node(int(tag), vr, [_nodes(item) for item in ds[tag].value or ()]))
        elif isinstance(element, RawDataElement):
            undefined = element.length == _UNDEFINED
            found.append(Node(int(tag), vr, bytes(element.value or b""), undefined=undefined))
        else:
            found += [Node(int(tag), one, value) for tag, one, value in _plain(ds[tag : tag + 1])]  # type: ignore[misc]
    return found


def _vr(ds: Dataset, tag: int) -> str:
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return str(ds[tag].VR)
    return vr if " or " not in vr else "OW" if "OW" in vr else "US"


def _plain(ds: Dataset) -> Iterator[tuple[int, str, bytes]]:
    """Tag, VR and encoded value of elements that are no sequences."""
    for element in ds:
        alone = Dataset()
        alone.add(element)
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = True, True
        write_dataset(buffer, alone)
        yield int(element.tag), element.VR, buffer.getvalue()[8:]
