"""What a keyframe's first bytes say about the picture size, so that a change mid-stream is seen without decoding."""

from __future__ import annotations

import struct

HEADER_BYTES = 4096

_H264_SPS = 7
_HEVC_SPS = 33
_JPEG_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3})


def size_signature(codec: str, head: bytes) -> bytes | None:
    """Return bytes that change when the picture size does, or None where the packet does not tell.

    Parameters
    ----------
    codec
        FFmpeg's name: h264, hevc, vp8, vp9, mpeg4 or mjpeg; anything else gives None.
    head
        The first ``HEADER_BYTES`` of a keyframe's packet.

    Notes
    -----
    For h264, hevc and mpeg4 this is the whole parameter set, so that it may also change where the size does not;
    that only costs speed. Sources: ITU-T H.264 7.3.2.1, H.265 7.3.1.2, RFC 6386 9.1 (VP8), VP9 bitstream 6.2,
    ISO 14496-2 6.2.3, ITU-T T.81 B.2.2.
    """
    if codec in ("h264", "hevc"):
        return _sequence_parameters(head, hevc=codec == "hevc")
    if codec == "vp8":
        return head[6:10] if len(head) >= 10 and head[3:6] == b"\x9d\x01\x2a" else None
    if codec == "vp9":
        known = len(head) >= 9 and head[1:4] == b"\x49\x83\x42"
        return head[4:8] + bytes([head[8] & 0xF0]) if known else None
    if codec == "mpeg4":
        return _mpeg4_layer(head)
    if codec == "mjpeg":
        return _jpeg_size(head)
    return None


def shows_frame(codec: str, head: bytes) -> bool:
    """Return False for a VP8 packet that only updates a reference (bit 4 of its first byte, RFC 6386 9.1)."""
    return codec != "vp8" or not head or bool(head[0] & 0x10)


def unit_length_bytes(codec: str, extradata: bytes | None) -> int:
    """Return the size of the length before each NAL unit (ISO 14496-15), 0 where units are not length-prefixed."""
    if not extradata or extradata[0] != 1:
        return 0
    at = {"h264": 4, "hevc": 21}.get(codec)
    return (extradata[at] & 3) + 1 if at is not None and len(extradata) > at else 0


def is_well_formed(packet: memoryview, length_bytes: int) -> bool:
    """Return whether a packet's NAL units fill it exactly and start with a 0 bit: damage often breaks this."""
    at, size = 0, len(packet)
    while at + length_bytes < size:
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if length and packet[at] & 0x80:
            return False
        at += length
    return at == size


def _sequence_parameters(head: bytes, *, hevc: bool) -> bytes | None:
    units = _annex_b_units(head) if head[:4] == b"\0\0\0\1" or head[:3] == b"\0\0\1" else _length_prefixed_units(head)
    for unit in units:
        kind = (unit[0] >> 1) & 63 if hevc else unit[0] & 31
        if kind == (_HEVC_SPS if hevc else _H264_SPS):
            return unit
    return None


def _annex_b_units(head: bytes) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in head.split(b"\0\0\1")[1:] if unit.rstrip(b"\0")]


def _length_prefixed_units(head: bytes) -> list[bytes]:
    units, at = [], 0
    while at + 5 <= len(head):
        (length,) = struct.unpack_from(">I", head, at)
        if length == 0:
            break
        units.append(head[at + 4 : at + 4 + length])
        at += 4 + length
    return units


def _mpeg4_layer(head: bytes) -> bytes | None:
    for unit in _annex_b_units(head):
        if 0x20 <= unit[0] <= 0x2F:  # video_object_layer_start_code
            return unit
    return None


def _jpeg_size(head: bytes) -> bytes | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAME_MARKERS:
            return head[at + 5 : at + 9]
        at += 2 + int(struct.unpack_from(">H", head, at + 2)[0])
    return None
