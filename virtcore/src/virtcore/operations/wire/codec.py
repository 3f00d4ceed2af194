"""XDR codecs, generated from the type records (RFC 4506 as libvirt uses it).

A codec is two functions generated as source text, each compiled when it is first used (in most processes a type travels
one way only) and known to :mod:`linecache`: ``decode(data, position)`` gives the value and the position after it,
``encode(value)`` gives bytes.

How values look in Python:

* integers and floats; enumerations are their numbers; strings are str (bytes that are no UTF-8 survive as surrogates);
  ``opaque`` is bytes; UUIDs are text with hyphens; ``char[n]`` is the text before the first NUL, ``char<n>`` is bytes
  (text may be given: it is sent with its closing NUL, as libvirt does);
* optionals are None or the value, arrays are lists;
* structs are tuples in the order of their fields, save those that stand for something in :mod:`virtcore.types`:
  references are that class's instances, a typed parameter is (name, type, value), an array of them is
  :class:`~virtcore.types.TypedParameters`;
* unions are (discriminant, value).

What is shared (:class:`~virtcore.types.Kept`, sealed parameters) is encoded once: its bytes stay with it.

Every limit is checked before anything is allocated: a count never exceeds its declared maximum nor what the remaining
bytes can hold.
"""

from __future__ import annotations

from struct import Struct, error as struct_error
from types import FunctionType

import virtcore.types
from virtcore._functions import cache, cached_property, lru_cache, partial
from virtcore._tuples import NamedTuple
from virtcore._typing import Any, Callable
from virtcore.operations.families import FAMILIES
from virtcore.operations.procedures import type_record
from virtcore.types import Kept, TypedParameters

__all__ = ["Codec", "EncodingError", "WireError", "codec"]


class WireError(ValueError):
    """Bytes that are not what the type says, or a value that the type cannot carry."""


class EncodingError(WireError):
    """A value that the type cannot carry, found when it was encoded."""


class Codec:
    """The two directions of one XDR type.

    ``decode`` raises :class:`WireError` for bytes that are not of the type, ``encode`` its subclass
    :class:`EncodingError` for values that do not fit.
    """

    def __init__(self, owner: str, name: str) -> None:
        record = type_record(owner, name).split(" ") if name not in _UUID_TYPES else ["type"]
        self.name = name
        #: Field names of a struct in order; empty for other types.
        self.fields = tuple(field.partition(":")[0] for field in record[2:]) if record[0] == "struct" else ()
        self._owner = owner

    @cached_property
    def decode(self) -> Callable[[bytes, int], tuple[Any, int]]:
        """Bytes and where to begin -> the value and the position after it."""
        maker = _Maker(self._owner)
        node = maker.node(self.name)
        made: Callable[[bytes, int], tuple[Any, int]] = maker.function(
            self.name,
            "decode",
            [
                "def decode(d, p):",
                "    try:",
                f"        value, p = {node.decode}",
                "    except (struct_error, ValueError) as error:",
                "        raise WireError(str(error)) from None",
                "    if p > len(d):",
                "        raise WireError('message ends inside its padding')",
                "    return value, p",
            ],
        )
        return made

    @cached_property
    def encode(self) -> Callable[[Any], bytes]:
        """The value -> bytes."""
        maker = _Maker(self._owner)
        node = maker.node(self.name)
        made: Callable[[Any], bytes] = maker.function(
            self.name,
            "encode",
            [
                "def encode(v):",
                "    try:",
                f"        return {node.encode.format('v')}",
                "    except (struct_error, ValueError, TypeError, AttributeError) as error:",
                "        raise EncodingError(str(error)) from None",
            ],
        )
        return made


#: Scalars: their letter for :mod:`struct` and their size.
_SCALARS = {
    "int": ("i", 4),
    "uint": ("I", 4),
    "hyper": ("q", 8),
    "uhyper": ("Q", 8),
    "char": ("i", 4),
    "uchar": ("I", 4),
    "short": ("i", 4),
    "ushort": ("I", 4),
    "double": ("d", 8),
    "float": ("f", 4),
}


def _references() -> dict[str, tuple[type, tuple[int, ...]]]:
    found: dict[str, tuple[type, tuple[int, ...]]] = {}
    for family in FAMILIES.values():
        if family.reference is not None:
            reference = getattr(virtcore.types, family.reference)
            found[family.xdr] = (reference, family.wire or tuple(range(len(reference._fields))))
    return found


#: Structs that stand for a class of virtcore.types, with the wire's fields in the order of the class's.
_REFERENCES = _references()

_UUID_TYPES = ("remote_uuid", "virNetMessageUUID")
_BOOLEAN = 6  # of TypedParameterType
_PARAMETER_TYPES = ("remote_typed_param", "admin_typed_param")

_U32 = Struct(">I")
_NO = bytes(4)
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


# -- what the generated functions call


def _decode_string(data: bytes, at: int, most: int) -> tuple[str, int]:
    (size,) = _U32.unpack_from(data, at)
    at += 4
    end = at + size
    if size > most or end > len(data):
        raise WireError(f"string of {size} bytes, {most} allowed and {len(data) - at} there")
    text = data[at:end].decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise WireError("string with a NUL in it")
    return text, end + (-size & 3)


def _encode_string(text: str, most: int) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
    size = len(raw)
    if size > most or b"\0" in raw:
        raise WireError(f"string of {size} bytes does not fit (at most {most}, no NUL)")
    return _U32.pack(size) + raw + _PADDING[size & 3]


#: Names of parameters, of which there are few.
_encode_name = lru_cache(maxsize=4096)(_encode_string)


class _Cases(dict[int, Callable[[Any], bytes]]):
    """How each case of a union is encoded."""

    def __missing__(self, kind: object) -> Callable[[Any], bytes]:
        raise _refuse_discriminant(kind)


def _decode_opaque(data: bytes, at: int, most: int) -> tuple[bytes, int]:
    (size,) = _U32.unpack_from(data, at)
    at += 4
    end = at + size
    if size > most or end > len(data):
        raise WireError(f"opaque of {size} bytes, {most} allowed and {len(data) - at} there")
    return bytes(data[at:end]), end + (-size & 3)


def _encode_opaque(raw: bytes, most: int) -> bytes:
    size = len(raw)
    if size > most:
        raise WireError(f"opaque of {size} bytes, {most} allowed")
    return _U32.pack(size) + raw + _PADDING[size & 3]


def _decode_fixed(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        raise WireError("message ends inside an opaque")
    return bytes(data[at:end]), end + (-size & 3)


def _encode_fixed(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise WireError(f"opaque of {len(raw)} bytes where {size} are asked for")
    return raw + _PADDING[size & 3]


def _decode_uuid(data: bytes, at: int) -> tuple[str, int]:
    end = at + 16
    if end > len(data):
        raise WireError("message ends inside a UUID")
    return _uuid_text(data[at:end]), end


@lru_cache(maxsize=8192)  # the same few objects are asked for again and again
def _uuid_text(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@lru_cache(maxsize=8192)
def _encode_uuid(text: str) -> bytes:
    raw = bytes.fromhex(text.replace("-", ""))
    if len(raw) != 16:
        raise WireError(f"'{text}' is no UUID")
    return raw


def _decode_characters(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    """``count`` characters of four bytes each; of a C ``char`` only the low byte counts."""
    end = at + 4 * count
    if end > len(data):
        raise WireError("message ends inside characters")
    return bytes(data[at + 3 : end : 4]), end


def _encode_characters(raw: bytes) -> bytes:
    spread = bytearray(4 * len(raw))
    # XDR carries a signed char: a byte above 127 is a negative number.
    spread[3::4] = raw
    if any(byte > 127 for byte in raw):
        high = bytes(255 if byte > 127 else 0 for byte in raw)
        spread[0::4] = spread[1::4] = spread[2::4] = high
    return bytes(spread)


def _decode_char_array(data: bytes, at: int, count: int) -> tuple[str, int]:
    raw, at = _decode_characters(data, at, count)
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape"), at


def _encode_char_array(text: str, count: int) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) >= count or b"\0" in raw:
        raise WireError(f"'{text}' does not fit into {count} characters")
    return _encode_characters(raw.ljust(count, b"\0"))


def _decode_char_list(data: bytes, at: int, most: int) -> tuple[bytes, int]:
    (count,) = _U32.unpack_from(data, at)
    if count > most:
        raise WireError(f"{count} characters, {most} allowed")
    return _decode_characters(data, at + 4, count)


def _encode_char_list(value: bytes | str, most: int) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape") + b"\0"
    if len(raw) > most:
        raise WireError(f"{len(raw)} characters, {most} allowed")
    return _U32.pack(len(raw)) + _encode_characters(raw)


def _decode_count(data: bytes, at: int, most: int, smallest: int) -> tuple[int, int]:
    (count,) = _U32.unpack_from(data, at)
    at += 4
    if count > most or count * smallest > len(data) - at:
        raise WireError(f"array of {count}, {most} allowed and {len(data) - at} bytes there")
    return count, at


def _encode_count(values: list[Any] | tuple[Any, ...], most: int) -> bytes:
    if len(values) > most:
        raise WireError(f"array of {len(values)}, {most} allowed")
    return _U32.pack(len(values))


def _decode_flag(data: bytes, at: int) -> tuple[bool, int]:
    # Whatever is not 0 says yes, as C libraries read it: go-libvirt, for one, sends 1 << 24.
    return data[at : at + 4] != _NO, at + 4


def _parameter(name: str, kind: int, value: Any) -> tuple[str, int, Any]:
    return name, kind, bool(value) if kind == _BOOLEAN else value


def _refuse_discriminant(kind: object) -> WireError:
    return WireError(f"union has no case {kind!r}")


_HELPERS = {name: value for name, value in list(globals().items()) if name.startswith(("_decode_", "_encode_"))}


# -- types


class _Node:
    """A resolved type: how to decode and encode it, as source expressions, and the fewest bytes it takes."""

    __slots__ = ("decode", "encode", "letter", "smallest")

    def __init__(self, decode: str, encode: str, smallest: int, letter: str | None = None) -> None:
        #: An expression over ``d`` (data) and ``p`` (position) that gives (value, position).
        self.decode = decode
        #: An expression with ``{}`` for the value that gives bytes.
        self.encode = encode
        self.smallest = smallest
        #: Letter of :mod:`struct`, for scalars.
        self.letter = letter


def _parts(spelled: str) -> tuple[str, bool, int | None, int | None]:
    """What a record spells: the type, whether it is optional, how many there are exactly or at most."""
    base, bracket, length = spelled.removesuffix(">").removesuffix("]").partition("<" if spelled[-1] == ">" else "[")
    if base[-1] == "?":
        return base[:-1], True, None, None
    if not bracket:
        return base, False, None, None
    count = int(length) if length else 0xFFFFFFFF
    return (base, False, count, None) if bracket == "[" else (base, False, None, count)


class _Maker:
    """Generates the codec of one type and of every type below it, in one direction or the other."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._decode: list[str] = []
        self._encode: list[str] = []
        self.names: dict[str, Any] = {
            **_HELPERS,
            "_refuse_discriminant": _refuse_discriminant,
            "_parameter": _parameter,
            "_Cases": _Cases,
            "kept": partial(_kept, owner),
            "lru_cache": lru_cache,
            "partial": partial,
            "Kept": Kept,
            "TypedParameters": TypedParameters,
        }
        self._nodes: dict[str, _Node] = {}

    def function(self, name: str, direction: str, lines: list[str]) -> Any:
        """Compile the function of a direction.

        :param lines: its own; those that it calls were made with :meth:`node`.
        """
        made = self._decode if direction == "decode" else self._encode
        source = "\n".join([*made, *lines]) + "\n"
        file = f"virtcore/wire/{self.owner}/{name}/{direction}"
        self.names.update(
            __name__=file,
            __loader__=_Source(source),  # where linecache finds it, which need not be loaded for that
            struct_error=struct_error,
            WireError=WireError,
            EncodingError=EncodingError,
        )
        # Our own text, made from checked-in records; not by way of compile(), which makes the classes of syntax trees.
        exec(source, self.names)
        for value in self.names.values():
            if isinstance(value, FunctionType) and value.__globals__ is self.names:
                value.__code__ = value.__code__.replace(co_filename=file)
        return self.names[direction]

    def struct(self, letters: str) -> str:
        """Name of the compiled :class:`struct.Struct` for a run of scalars."""
        name = "S_" + letters
        self.names.setdefault(name, Struct(">" + letters))
        return name

    def node(self, spelled: str) -> _Node:
        """The node of a type as a record spells it."""
        known = self._nodes.get(spelled)
        if known is None:
            known = self._nodes[spelled] = self._make(spelled)
        return known

    def _make(self, spelled: str) -> _Node:
        base, optional, fixed, most = _parts(spelled)
        if optional:
            return self._optional(self.node(base))
        if fixed is not None:
            return self._fixed(base, fixed)
        if most is not None:
            return self._variable(base, most)
        if base in _SCALARS:
            letter, size = _SCALARS[base]
            packer = self.struct(letter)
            return _Node(f"({packer}.unpack_from(d, p)[0], p + {size})", f"{packer}.pack({{}})", size, letter)
        return self._declared(base)

    def _declared(self, name: str) -> _Node:
        if name in _UUID_TYPES:
            return _Node("_decode_uuid(d, p)", "_encode_uuid({})", 16)
        kind, _, *rest = type_record(self.owner, name).split(" ")
        if kind == "type":
            return self.node(rest[0])
        if kind == "enum":
            return self.node("int")
        smallest = self._write_union(name, rest) if kind == "union" else self._write_struct(name, rest)
        return _Node(f"decode_{name}(d, p)", f"encode_{name}({{}})", smallest)

    def _optional(self, inner: _Node) -> _Node:
        name = f"optional_{len(self._encode)}"
        self.struct("I")
        self._decode += [
            f"def decode_{name}(d, p):",
            "    there, p = _decode_flag(d, p)",
            f"    return {inner.decode} if there else (None, p)",
        ]
        self._encode += [
            f"def encode_{name}(v):",
            f"    return S_I.pack(0) if v is None else S_I.pack(1) + {inner.encode.format('v')}",
        ]
        return _Node(f"decode_{name}(d, p)", f"encode_{name}({{}})", 4)

    def _fixed(self, base: str, count: int) -> _Node:
        if base == "opaque":
            return _Node(f"_decode_fixed(d, p, {count})", f"_encode_fixed({{}}, {count})", count + (-count & 3))
        if base == "char":
            return _Node(f"_decode_char_array(d, p, {count})", f"_encode_char_array({{}}, {count})", 4 * count)
        raise ValueError(f"fixed arrays of {base} do not occur")

    def _variable(self, base: str, most: int) -> _Node:
        for plain, helper in (("string", "string"), ("opaque", "opaque"), ("char", "char_list")):
            if base == plain:
                return _Node(f"_decode_{helper}(d, p, {most})", f"_encode_{helper}({{}}, {most})", 4)
        inner = self.node(base)
        name = f"list_{len(self._encode)}"
        parameters = base in _PARAMETER_TYPES
        result = "TypedParameters.received(values)" if parameters else "values"
        self._decode += [
            f"def decode_{name}(d, p):",
            f"    count, p = _decode_count(d, p, {most}, {inner.smallest})",
            "    values = []",
            "    for _ in range(count):",
            f"        value, p = {inner.decode}",
            "        values.append(value)",
            f"    return {result}, p",
        ]
        if parameters:
            self._write_parameters(name, base, most)
        else:
            items = f"_encode_count(values, {most}) + b''.join([{inner.encode.format('value')} for value in values])"
            kind = f"{self.owner}.{base}<{most}>"
            self._encode += [
                f"def encode_{name}(values):",
                "    if values.__class__ is not Kept:",
                f"        return {items}",
                f"    made = values.wire.get({kind!r})",
                "    if made is None:",
                f"        made = values.wire[{kind!r}] = {items}",
                "    return made",
            ]
        return _Node(f"decode_{name}(d, p)", f"encode_{name}({{}})", 4)

    def _write_parameters(self, name: str, base: str, most: int) -> None:
        """Encodes many parameters, of which there may be thousands. Those that are kept are of objects that have most
        of them in common with others."""
        _, _, field, value = type_record(self.owner, base).split(" ")
        named = self.node(field.partition(":")[2]).encode.format("name").replace("_encode_string", "_encode_name")
        each = f"{named} + cases_{value.partition(':')[2]}[kind](value)"
        self._encode += [
            "@lru_cache(maxsize=4096)",
            f"def common_{name}(row):",
            "    name, kind, value = row",
            f"    return {each}",
            f"def encode_{name}(v):",
            f"    if v.wire is not None and len(v) <= {most}:",
            "        return v.wire",
            "    values = v.rows()",
            "    if not v.sealed:",
            f"        return _encode_count(values, {most}) + b''.join([{each} for name, kind, value in values])",
            f"    v.wire = made = _encode_count(values, {most}) + b''.join(map(common_{name}, values))",
            "    return made",
        ]

    def _write_union(self, name: str, cases: list[str]) -> int:
        decode = [f"def decode_{name}(d, p):", "    kind = S_i.unpack_from(d, p)[0]", "    p += 4"]
        encode: list[str] = []
        cases_of = [f"cases_{name} = _Cases({{"]
        self.struct("i")
        sizes = []
        for case in cases:
            number, _, spelled = case.split(":")
            inner = self.node(spelled)
            sizes.append(inner.smallest)
            decode += [
                f"    if kind == {number}:",
                f"        value, p = {inner.decode}",
                "        return (kind, value), p",
            ]
            if inner.letter:
                cases_of.append(f"    {number}: partial({self.struct('i' + inner.letter)}.pack, {number}),")
            else:
                encode += [
                    f"def encode_{name}_{number}(value):",
                    f"    return {int(number).to_bytes(4, 'big', signed=True)!r} + {inner.encode.format('value')}",
                ]
                cases_of.append(f"    {number}: encode_{name}_{number},")
        self._decode += [*decode, "    raise _refuse_discriminant(kind)"]
        self._encode += [
            *encode,
            *cases_of,
            "})",
            f"def encode_{name}(v):",
            f"    return cases_{name}[v[0]](v[1])",
        ]
        return 4 + min(sizes)

    def _write_struct(self, name: str, fields: list[str]) -> int:
        nodes = [self.node(field.partition(":")[2]) for field in fields]
        count = len(nodes)
        decode = [f"def decode_{name}(d, p):"]
        pieces = []
        at = 0
        while at < count:
            end = at
            while end < count and nodes[end].letter:
                end += 1
            if end > at:  # a run of scalars is packed in one go
                letters = "".join(node.letter or "" for node in nodes[at:end])
                packer = self.struct(letters)
                run = range(at, end)
                decode += [
                    f"    {''.join(f'v{i}, ' for i in run)}= {packer}.unpack_from(d, p)",
                    f"    p += {Struct('>' + letters).size}",
                ]
                pieces.append(f"{packer}.pack({', '.join(f'v{i}' for i in run)})")
                at = end
            else:
                decode.append(f"    v{at}, p = {nodes[at].decode}")
                pieces.append(nodes[at].encode.format(f"v{at}"))
                at += 1
        values = [f"v{i}" for i in range(count)]
        unpack = "".join(f"{value}, " for value in values)
        result = f"({unpack})"
        if name in _REFERENCES:
            reference, order = _REFERENCES[name]
            self.names[reference.__name__] = reference
            result = f"{reference.__name__}({', '.join(values[i] for i in order)})"
            unpack = "".join(f"{values[i]}, " for i in order)
        elif name in _PARAMETER_TYPES:
            result = "_parameter(v0, *v1)"
            pieces[0] = pieces[0].replace("_encode_string", "_encode_name")
        self._decode += [*decode, f"    return {result}, p"]
        made = f"{name}_anew" if name in _REFERENCES else name
        self._encode += [
            f"def encode_{made}(v):",
            "    v0, v1 = v[0], v[1:]" if name in _PARAMETER_TYPES else f"    {unpack}= v",
            f"    return {' + '.join(pieces)}",
        ]
        if made != name:  # the same few objects, or many of them in every list
            self._encode.append(f"encode_{name} = kept({name!r}, encode_{made})")
        return sum(node.smallest for node in nodes)


_KEPT: dict[tuple[str, str], Callable[[Any], bytes]] = {}


def _kept(owner: str, name: str, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """What encodes references of a type and keeps their bytes: one for all codecs, so that a list has those of the
    objects that were answered one by one."""
    return _KEPT.setdefault((owner, name), lru_cache(maxsize=8192)(encode))


class _Source(NamedTuple):
    """A module's loader as far as :mod:`linecache` asks it: for the text of what was generated."""

    text: str

    def get_source(self, name: str) -> str:
        """The text."""
        return self.text


@cache
def codec(owner: str, name: str) -> Codec:
    """The codec of an XDR type that a program (``remote``, ``rpc``, ...) uses."""
    return Codec(owner, name)
