"""Avatars from whatever people upload: decoded with suspicion, turned upright, cropped, stripped, encoded anew.

What is decoded is bounded before it is: the size of the file, the formats, and the pixels its header promises. It is
done in the thread pool, two at a time.
"""

from __future__ import annotations

import io
import warnings

from gevent import get_hub
from gevent.lock import BoundedSemaphore
from PIL import Image, ImageOps, UnidentifiedImageError

from app.errors import InvalidRequest

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 25_000_000
SIZES = (48, 96, 192, 512)
"""Widths and heights, in pixels, that an avatar is given out in."""
FULL = SIZES[-1]
_two_at_once = BoundedSemaphore(2)


def avatar_from(data: bytes) -> bytes:
    """A square WebP of FULL pixels, with no metadata. Raises InvalidRequest for what is no such picture."""
    with _two_at_once:
        made: bytes | None = get_hub().threadpool.apply(_avatar_from, (data,))
    if made is None:
        raise InvalidRequest(
            f"the picture cannot be read: {', '.join(FORMATS)} of up to {MAX_PIXELS // 1_000_000} megapixels are taken"
        )
    return made


def resized(avatar: bytes, size: int) -> bytes:
    """An avatar in another size."""
    with _two_at_once:
        made: bytes = get_hub().threadpool.apply(_resized, (avatar, size))
    return made


def _avatar_from(data: bytes) -> bytes | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return None
                picture.seek(0)  # of an animation the first
                upright = ImageOps.exif_transpose(picture).convert("RGB")
        return _webp(ImageOps.fit(upright, (FULL, FULL), Image.Resampling.LANCZOS))
    except (UnidentifiedImageError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        return None
    except Exception:  # noqa: BLE001  decoders raise whatever a broken file leads them to
        return None


def _resized(avatar: bytes, size: int) -> bytes:
    with Image.open(io.BytesIO(avatar), formats=("WEBP",)) as picture:
        return _webp(picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


def _webp(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=85, method=4)
    return out.getvalue()
