"""Header blocks of requests: written in constant pieces around the token, read with or without a table.

HPACK is RFC 7541. Apple asks for `:path` as a literal that is never indexed; everything else of a push repeats and
costs one or two bytes once the table holds it.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import hpack

from skerry.apns.answer import text_headers
from skerry.apns.frames import ErrorCode, PeerViolationError

PATH_PREFIX: Final = b"/3/device/"
HEADER_LIST_LIMIT: Final = 32_768
"""Octets of one answer's header list that we read (announced as MAX_HEADER_LIST_SIZE)."""

_PATH_NEVER_INDEXED: Final = 0x14
"""Literal never indexed (0x10) with the name `:path` from the static table (index 4)."""
STATUS_200: Final = 0x88
"""The static table's entry 8, `:status: 200`, as an indexed field."""
_OWN_TABLE_SIZE: Final = 4096
"""We never use more table than the protocol's default, whatever the peer would allow."""
_ENTRY_OVERHEAD: Final = 32
_ONE_BYTE_LENGTH: Final = 126
_SIZE_UPDATES: Final = tuple(bytes((first,)) for first in range(0x20, 0x40))
_REMEMBERED_BLOCKS: Final = 256
_LONGEST_HUFFMAN_CODE: Final = 30
"""Bits (RFC 7541, appendix B): the library writes every string in this code, even where that makes it longer."""
_REASON_LIMIT: Final = 200
"""Characters; the library's errors quote the whole block."""

Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Letter:
    """What the requests of one batch share: method, the beginning of the path, header fields and body.

    `fields` come after the pseudo-header fields and without `authorization`. `passing` is the encoded form (see
    `literal_field`) of fields that will hardly be met again: in the table they would only push out the others.
    """

    authority: bytes
    fields: tuple[Field, ...]
    body: bytes
    passing: bytes = b""
    method: bytes = b"POST"
    prefix: bytes = PATH_PREFIX
    """What every path begins with; the rest of it is each request's own."""


def longest_block(letter: Letter, authorization: bytes, token_length: int) -> int:
    """How many octets a header block can have at most, in whatever state the table is."""
    pseudo = (b":method", letter.method), (b":scheme", b"https"), (b":authority", letter.authority)
    fields = (*pseudo, (b"authorization", authorization), *letter.fields)
    constant = sum((len(name) + len(value)) * _LONGEST_HUFFMAN_CODE // 8 + _ENTRY_OVERHEAD for name, value in fields)
    return constant + len(letter.passing) + _ENTRY_OVERHEAD + len(letter.prefix) + token_length


class Block(NamedTuple):
    """The constant parts of a header block, before and after the path."""

    before: bytes
    after: bytes
    steady: bool
    """Whether it may be used again: it leaves the table as it found it."""


def path_opening(token_length: int, prefix: bytes = PATH_PREFIX) -> bytes:
    """The `:path` field up to the token itself, for tokens of this many octets."""
    length = len(prefix) + token_length
    if length <= _ONE_BYTE_LENGTH:
        return bytes((_PATH_NEVER_INDEXED, length)) + prefix
    rest = length - 127
    encoded = bytearray((_PATH_NEVER_INDEXED, 127))
    while rest >= 128:  # noqa: PLR2004 -- RFC 7541, section 5.1: seven bits an octet
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded) + prefix


def literal_field(name: bytes, value: bytes) -> bytes:
    """A field that leaves no trace in the table: literal never indexed, both strings under 127 octets."""
    return bytes((0x10, len(name))) + name + bytes((len(value),)) + value


class HeaderWriter:
    """Encodes the constant fields of letters and remembers the result for as long as the table stands still.

    A block that inserts into the dynamic table may be sent only once, and makes every remembered block stale,
    because insertions shift the indices of all older entries.
    """

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._blocks: dict[tuple[bytes, bytes, tuple[Field, ...], bytes], Block] = {}

    def resize(self, size: int) -> None:
        """Obey the peer's SETTINGS_HEADER_TABLE_SIZE; the next block announces the change."""
        size = min(size, _OWN_TABLE_SIZE)
        # Setting the size it already has would make the library forget a change that is still to be announced.
        if size != self._encoder.header_table_size:
            self._encoder.header_table_size = size
            changes = self._encoder.table_size_changes
            if len(changes) > 1:  # RFC 7541, section 4.2: the smallest and the last, never more than two
                self._encoder.table_size_changes = [min(changes), changes[-1]] if min(changes) < size else [size]
            self._blocks.clear()

    def block(self, letter: Letter, authorization: bytes) -> Block:
        """The block for the next stream. Blocks must reach the wire in the order in which they were asked for."""
        key = (letter.method, letter.authority, letter.fields, authorization)
        known = self._blocks.get(key)
        if known is not None:
            return known
        pseudo = ((b":method", letter.method), (b":scheme", b"https"), (b":authority", letter.authority))
        fields = ((b"authorization", authorization), *letter.fields)
        # Fields that do not fit into the table together would push each other out with every push.
        size = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in (pseudo[2], *fields))
        literal = size > self._encoder.header_table_size
        entries = self._encoder.header_table.dynamic_entries
        newest = entries[0] if entries else None
        before = self._encoder.encode([(name, value, literal) for name, value in pseudo])
        after = self._encoder.encode([(name, value, literal) for name, value in fields])
        inserted = bool(entries) and entries[0] is not newest
        # A table size update opens the block; it must be sent once only.
        steady = not inserted and not before.startswith(_SIZE_UPDATES)
        block = Block(before, after, steady)
        if inserted:
            self._blocks.clear()
        elif steady:
            if len(self._blocks) >= _REMEMBERED_BLOCKS:
                self._blocks.clear()
            self._blocks[key] = block
        return block


class HeaderReader:
    """Decodes answers' header blocks, and knows when a block may be judged by its first octet.

    We announce a table of size 0. Once the peer's encoder has said that it follows (a size update to 0), no block
    carries table state, and skipping the decoder for a 200 loses nothing. A peer that never says so is decoded in full.
    """

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=HEADER_LIST_LIMIT)
        self.tableless = False
        """Whether a block that starts with `STATUS_200` is a 200 and needs no decoding. Only `decode` changes it."""

    def decode(self, block: bytes) -> dict[str, str]:
        """The fields of one header block, pseudo-header fields included.

        Raises:
            PeerViolationError: if the block cannot be decoded; the table is lost, and the connection with it.
        """
        try:
            fields = self._decoder.decode(block, raw=True)
        except hpack.OversizedHeaderListError as error:
            raise PeerViolationError(ErrorCode.ENHANCE_YOUR_CALM, str(error)[:_REASON_LIMIT]) from error
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise PeerViolationError(ErrorCode.COMPRESSION_ERROR, f"header block: {error}"[:_REASON_LIMIT]) from error
        self.tableless = self._decoder.header_table_size == 0
        return text_headers(fields)
