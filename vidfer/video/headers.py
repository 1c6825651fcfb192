"""What the first bytes of packets say: picture size, clean starts, damage; all without decoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER_BYTES = 4096

_H264_IDR, _H264_SEI, _H264_SPS = 5, 6, 7
_HEVC_RANDOM_ACCESS = range(16, 22)
_HEVC_SPS = 33
_HEVC_SEI = 39
_SEI_RECOVERY_POINT, _SEI_DISPLAY_ORIENTATION = 6, 47
_AV1_SEQUENCE_HEADER = 1
_H264_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_JPEG_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3})


def size_signature(codec: str, head: bytes, *, length_bytes: int = 0) -> bytes | None:
    """Return bytes that change when the picture's size or position does, or None where the packet does not tell.

    Parameters
    ----------
    codec
        FFmpeg's name: h264, hevc, vp8, vp9, av1, mpeg1video, mpeg2video, mpeg4 or mjpeg; anything else gives None.
    head
        The first ``HEADER_BYTES`` of a keyframe's packet.
    length_bytes
        From ``unit_length_bytes``.

    Notes
    -----
    For h264, hevc, av1 and mpeg4 this is the whole parameter set, so that it may also change where the size does not;
    that only costs speed. Sources: ITU-T H.264 7.3.2.1 and D.2.27, H.265 7.3.1.2, RFC 6386 9.1 (VP8), VP9 bitstream
    6.2, AV1 bitstream 5.3, ISO 13818-2 6.2.2.1, ISO 14496-2 6.2.3, ITU-T T.81 B.2.2.
    """
    if codec in ("h264", "hevc"):
        kind = _HEVC_SPS if codec == "hevc" else _H264_SPS
        units = _units(head, length_bytes)
        parameters = next((unit for unit in units if _kind(codec, unit) == kind), b"")
        turns = [payload for unit in units for payload in _orientations(codec, unit)]
        return b"".join([parameters, *turns]) or None
    if codec == "vp8":
        return head[6:10] if len(head) >= 10 and head[3:6] == b"\x9d\x01\x2a" else None
    if codec == "vp9":
        known = len(head) >= 9 and head[1:4] == b"\x49\x83\x42"
        return head[4:8] + bytes([head[8] & 0xF0]) if known else None
    if codec == "av1":
        return _av1_sequence_header(head)
    if codec in ("mpeg1video", "mpeg2video"):
        at = head.find(b"\0\0\1\xb3")
        known = at >= 0 and len(head) >= at + 8
        return head[at + 4 : at + 7] + bytes([head[at + 7] & 0xF0]) if known else None  # width, height, aspect
    if codec == "mpeg4":
        return _mpeg4_layer(head)
    if codec == "mjpeg":
        return _jpeg_size(head)
    return None


def shows_frame(codec: str, head: bytes) -> bool:
    """Return False for a VP8 packet that only updates a reference (bit 4 of its first byte, RFC 6386 9.1)."""
    return codec != "vp8" or not head or bool(head[0] & 0x10)


def resizes(codec: str, head: bytes) -> bool:
    """Return whether a VP9 packet between keyframes brings a picture size of its own, as in video calls (6.2)."""
    if codec != "vp9" or not head:
        return False
    bits = _Bits(head[:16], at=0)
    if bits.read(2) != 2:
        return False
    profile = bits.read(1) | bits.read(1) << 1
    bits.read(int(profile == 3))
    if bits.read(1) or not bits.read(1):
        return False  # shows an earlier frame, or is a keyframe
    shown, is_resilient = bits.read(1), bits.read(1)
    if not shown and bits.read(1):
        return False  # intra-only: rare, and such a size is seen at the next frame that refers to none
    bits.read(0 if is_resilient else 2)  # reset_frame_context
    bits.read(8 + 3 * 4)  # refresh_frame_flags, three references
    return not (bits.read(1) or bits.read(1) or bits.read(1))  # found_ref: as large as that reference


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


def starts_clean(codec: str, head: bytes, *, length_bytes: int = 0) -> bool:
    """Return whether decoding from this keyframe gives right pictures from itself on.

    Demuxers also call a keyframe where an h264 stream with intra refresh only begins to recover; right are IDR
    pictures and recovery points of 0 frames (H.264 D.1.8), and in hevc the random access pictures.
    """
    if codec == "hevc":
        return any(_kind(codec, unit) in _HEVC_RANDOM_ACCESS for unit in _units(head, length_bytes))
    if codec != "h264":
        return True
    units = _units(head, length_bytes)
    return any(_kind(codec, unit) == _H264_IDR or _recovers_at_once(unit) for unit in units)


def allows_fields(codec: str, parameters: bytes, *, length_bytes: int = 0) -> bool:
    """Return whether pictures may be made of two fields (frame_mbs_only_flag is 0, H.264 7.3.2.1.1).

    Parameters
    ----------
    codec
        FFmpeg's name; anything but h264 gives False: the first frame tells of those.
    parameters
        The codec's extradata (avcC or start codes), or the beginning of a keyframe's packet.
    length_bytes
        From ``unit_length_bytes``; only for a packet.
    """
    if codec != "h264":
        return False
    units = _avcc_units(parameters) if parameters[:1] == b"\x01" else _units(parameters, length_bytes)
    return any(_kind(codec, unit) == _H264_SPS and len(unit) > 1 and not _frames_only(unit) for unit in units)


def _frames_only(sps: bytes) -> bool:
    bits = _Bits(sps.replace(b"\0\0\x03", b"\0\0"), at=32)  # past the header, profile, flags and level
    bits.golomb()  # seq_parameter_set_id
    if sps[1] in _H264_HIGH_PROFILES:
        if bits.golomb() == 3:  # chroma_format_idc
            bits.read(1)
        bits.golomb(), bits.golomb(), bits.read(1)  # bit depths, lossless
        if bits.read(1):
            return False  # own scaling matrices: too rare to be worth reading them
    bits.golomb()  # log2_max_frame_num
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1), bits.golomb(), bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb(), bits.read(1), bits.golomb(), bits.golomb()  # reference frames, gaps, width, height
    return bool(bits.read(1))


class _Bits:
    """Bits of a parameter set, from the first; beyond the end they are 0."""

    def __init__(self, data: bytes, *, at: int) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = at

    def read(self, count: int) -> int:
        bits = self._bits[self._at : self._at + count]
        self._at += count
        return int(bits, 2) if bits else 0

    def golomb(self) -> int:
        """Return an unsigned Exp-Golomb number (9.1)."""
        one = self._bits.find("1", self._at)
        zeros = 0 if one < 0 else one - self._at
        self._at += zeros
        return self.read(zeros + 1) - 1


def _recovers_at_once(unit: bytes) -> bool:
    if unit[0] & 31 != _H264_SEI:
        return False
    # recovery_frame_cnt as ue(v): a first bit of 1 is 0 frames
    counts = (payload for kind, payload in _sei_messages(unit, 1) if kind == _SEI_RECOVERY_POINT)
    return bool(next(counts, b"\0")[:1] >= b"\x80")


def _orientations(codec: str, unit: bytes) -> Iterator[bytes]:
    """Yield what a unit says of how pictures are turned for display."""
    if _kind(codec, unit) == (_HEVC_SEI if codec == "hevc" else _H264_SEI):
        for kind, payload in _sei_messages(unit, 2 if codec == "hevc" else 1):
            if kind == _SEI_DISPLAY_ORIENTATION:
                yield payload


def _sei_messages(unit: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 2 < len(unit):
        kind, at = _sei_number(unit, at)
        size, at = _sei_number(unit, at)
        yield kind, unit[at : at + size]
        at += size


def _sei_number(unit: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(unit):
        value += unit[at]
        at += 1
        if unit[at - 1] != 0xFF:
            break
    return value, at


def _kind(codec: str, unit: bytes) -> int:
    return (unit[0] >> 1) & 63 if codec == "hevc" else unit[0] & 31


def _units(head: bytes, length_bytes: int) -> list[bytes]:
    return _length_prefixed_units(head, length_bytes) if length_bytes else _annex_b_units(head)


def _annex_b_units(head: bytes) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in head.split(b"\0\0\1")[1:] if unit.rstrip(b"\0")]


def _length_prefixed_units(head: bytes, length_bytes: int) -> list[bytes]:
    units, at = [], 0
    while at + length_bytes < len(head):
        length = int.from_bytes(head[at : at + length_bytes], "big")
        at += length_bytes
        if length:
            units.append(head[at : at + length])
        at += length
    return units


def _avcc_units(extradata: bytes) -> list[bytes]:
    """Return the sequence parameter sets of an avcC box (ISO 14496-15 5.3.3.1)."""
    units, at = [], 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        length = int.from_bytes(extradata[at : at + 2], "big")
        units.append(extradata[at + 2 : at + 2 + length])
        at += 2 + length
    return [unit for unit in units if unit]


def _av1_sequence_header(head: bytes) -> bytes | None:
    at = 0
    while at < len(head):
        kind, has_extension, has_size = head[at] >> 3 & 15, head[at] & 4, head[at] & 2
        at += 2 if has_extension else 1
        size, shift = 0, 0
        while has_size and at < len(head):  # leb128
            size |= (head[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not head[at - 1] & 128:
                break
        if kind == _AV1_SEQUENCE_HEADER:
            return head[at : at + size]
        if not has_size:
            return None
        at += size
    return None


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
