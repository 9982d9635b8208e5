"""PNG files without what they say of themselves where that is damaged, or blows up when it is unpacked."""

import io
import shutil
import zlib
from typing import IO

MAGIC = b"\x89PNG\r\n\x1a\n"
_SAYING = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_LONGEST_BYTES = 1_000_000


def without_damaged_texts(file: IO[bytes]) -> IO[bytes] | None:
    """Return a copy in memory without texts that are packed, very long or damaged; ``None`` when there are none."""
    file.seek(0)
    copy = io.BytesIO()
    copy.write(file.read(len(MAGIC)))
    left_out = 0
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        body = file.read(length + 4)
        if head[4:] in _SAYING and not _is_sound(head[4:], body[:length], body[length:]):
            left_out += 1
            continue
        copy.write(head)
        copy.write(body)
        if head[4:] == b"IEND":
            break
    else:
        copy.write(head)
    if not left_out:
        return None
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def _is_sound(kind: bytes, data: bytes, checksum: bytes) -> bool:
    packed = kind == b"zTXt" or (kind == b"iTXt" and data.partition(b"\0")[2][:1] != b"\0")
    return not packed and len(data) <= _LONGEST_BYTES and zlib.crc32(kind + data).to_bytes(4, "big") == checksum
