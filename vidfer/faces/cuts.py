"""Hard cuts between consecutive sampled frames, from a few thousand pixels of each.

A cut is where both the layout (a 16x16 gray thumbnail, compared by correlation, so that a change of brightness alone
does not count) and the colours (a coarse histogram, which a moving camera or a moving head hardly changes) are new. The
less of the layout is left, the less the colours need to change: a stage and its audience lie in the same dark.
"""

from __future__ import annotations

import numpy as np

GRID = 64  # pixels looked at per side of a frame
BLOCK = 4  # pixels averaged per side for one of the thumbnail
THUMBNAIL = GRID // BLOCK  # side of the gray thumbnail
COLOUR_LEVELS = 8  # levels of each colour channel in the histogram
ROWS_AT_ONCE = 4096  # frames compared at a time: an hour's at once would take 600 MB
SIGNATURE_SIZE = THUMBNAIL**2 + 3 * COLOUR_LEVELS

# Measured on the eleven development clips (no cut in any of them) and 1,999 pairs of unrelated photographs (LFW,
# Flickr8k). Frames of one clip next to each other: correlation >= 0.86, histogram distance <= 0.04; two seconds apart:
# >= 0.29 and <= 0.10. All 110 joins of two clips: <= 0.68 and >= 0.21, so every one is found; so are 99.7 % of the
# photographs. Flashes (brightness x 2 + 40, clipped) leave the correlation at 0.72..0.99. From a stage to its dark
# audience, a cut of a real film: 0.15 and 0.08. On these and ten more clips of one shot each none of 17,000 pairs of
# frames up to a second apart is taken for a cut, and all 1,260 joins of two of them are.
MAX_CORRELATION = 0.75
MIN_COLOUR_DISTANCE = 0.12  # where the correlation is above ...
NEW_LAYOUT = (0.15, 0.35)  # ... the higher of these; below the lower one this will do:
MIN_COLOUR_DISTANCE_OF_NEW = 0.02


def frame_signatures(images: np.ndarray) -> np.ndarray:
    """Return what is compared to find cuts.

    Parameters
    ----------
    images
        (B, H, W, 3) uint8 RGB; any size, sizes may differ between calls. What is not C-contiguous is copied.

    Returns
    -------
    (B, K) float32, K = ``SIGNATURE_SIZE``: gray thumbnail in 0..1, then the share of pixels at each level of red,
        green and blue. Each row depends on its own image only.
    """
    count, height, width = images.shape[:3]
    y = ((np.arange(GRID) + 0.5) * height / GRID).astype(np.intp)
    x = ((np.arange(GRID) + 0.5) * width / GRID).astype(np.intp)
    bytes_of = (y[:, None, None] * width + x[:, None]) * 3 + np.arange(3)  # (GRID, GRID, 3)
    sample = images.reshape(count, height * width * 3).take(bytes_of, axis=1)  # (B, GRID, GRID, 3)
    sums = _block_sums(_block_sums(sample, axis=1), axis=2)  # (B, 16, 16, 3)
    luma = np.array([0.299, 0.587, 0.114], np.float32) / (255 * BLOCK**2)  # ITU-R BT.601
    thumbnail = sums.astype(np.float32) @ luma  # (B, 16, 16)
    # One histogram over all images and channels, each with its own range of bins; every other pixel will do.
    levels = sample[:, ::2, ::2].reshape(count, 3 * (GRID // 2) ** 2) >> (8 - COLOUR_LEVELS.bit_length() + 1)
    first_bins = COLOUR_LEVELS * np.arange(count * 3).reshape(count, 3)
    bins = levels + np.tile(first_bins, (1, (GRID // 2) ** 2))  # (B, 3 (GRID / 2)^2)
    histogram = np.bincount(bins.ravel(), minlength=count * 3 * COLOUR_LEVELS) / (GRID // 2) ** 2
    return np.concatenate(
        [thumbnail.reshape(count, THUMBNAIL**2), histogram.reshape(count, 3 * COLOUR_LEVELS)], axis=1, dtype=np.float32
    )  # (B, K)


def is_cut(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Return (B,) bool: whether a hard cut lies between two frames, given both signatures (B, K).

    Signatures may have been stored as float16.
    A frame without any structure (black, white) counts as another scene than one with structure.
    """
    cut = np.zeros(len(current), np.bool_)
    for start in range(0, len(cut), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        cut[rows] = _is_cut(previous[rows], current[rows])
    return cut


def _is_cut(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
    split = THUMBNAIL**2
    previous, current = previous.astype(np.float32), current.astype(np.float32)
    a = previous[:, :split] - previous[:, :split].mean(1, keepdims=True)
    b = current[:, :split] - current[:, :split].mean(1, keepdims=True)
    # The floor is the structure of a frame whose gray values deviate by about 1/255 from their mean.
    floor = split / 255**2
    correlation = (a * b).sum(1) / np.sqrt(((a**2).sum(1) + floor) * ((b**2).sum(1) + floor))
    # Half the L1 distance, mean over the channels: 0 the same colours, 1 none in common.
    distance = np.abs(previous[:, split:] - current[:, split:]).sum(1) / 6
    least = np.interp(correlation, NEW_LAYOUT, (MIN_COLOUR_DISTANCE_OF_NEW, MIN_COLOUR_DISTANCE))
    cut: np.ndarray = (correlation < MAX_CORRELATION) & (distance > least)
    return cut


def _block_sums(sample: np.ndarray, *, axis: int) -> np.ndarray:
    """Return sums of BLOCK neighbours along an axis, uint16 (fits: 16 * 255)."""
    pieces = [sample[(slice(None),) * axis + (slice(offset, None, BLOCK),)] for offset in range(BLOCK)]
    total = pieces[0].astype(np.uint16)
    for piece in pieces[1:]:
        total += piece
    return total
