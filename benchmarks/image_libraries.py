"""Decoding JPEG files and cropping photos: Pillow, as here, against simplejpeg and OpenCV.

Files of 224×224 and more become 224×224, on one thread: by Pillow, with libjpeg's scaling where it
fits; by simplejpeg (libjpeg-turbo), resized by Pillow; by OpenCV with its area filter, whose pixels
differ from those that an exported model computes from the same file. Then the policy "photo", a
random resized crop and a horizontal flip, and the same by `cv2.warpAffine`, bilinear. Last, end to
end: all files once, then some epochs of augmented images. The results are ratios: all take turns in
one process, and the fastest round of each counts, in CPU time.

    pip install opencv-python-headless simplejpeg
    python benchmarks/image_libraries.py [--folder photos/] [--quick]

Without `--folder` it makes JPEG files of 320×280. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from kt_tuning.augment import POLICIES, augment
from kt_tuning.core.records import PixelFormat
from kt_tuning.data.decode import decode_image, draft_ratio

SIDE = 224
PIXELS = PixelFormat(SIDE, SIDE, 3)
EPOCHS = (1, 3, 10, 30)
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def made(count: int) -> list[bytes]:
    """JPEG files of soft shapes under a little noise."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        picture = np.asarray(coarse.resize((320, 280), Image.Resampling.BICUBIC), np.float64)
        noisy = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(buffer := io.BytesIO(), "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def by_pillow(content: bytes) -> Any:
    return decode_image(content, PIXELS)


def by_simplejpeg(content: bytes) -> Any:
    height, width, *_ = simplejpeg.decode_jpeg_header(content)
    ratio = draft_ratio((width, height), PIXELS)
    least = {"min_height": -(-height // ratio), "min_width": -(-width // ratio)}
    image = Image.fromarray(simplejpeg.decode_jpeg(content, "RGB", **(least if ratio > 1 else {})))
    across = image.resize((SIDE, image.height), Image.Resampling.BILINEAR)
    return np.asarray(across.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def by_opencv(content: bytes) -> Any:
    height, width, *_ = simplejpeg.decode_jpeg_header(content)
    flag = _FLAGS[draft_ratio((width, height), PIXELS)]
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), flag), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def cropped(images: Any, uniforms: Any) -> Any:
    """The policy "photo": see `kt_tuning.augment.geometric_ops.resized_crop`."""
    result = np.empty_like(images)
    for number, (flip, amount, shape, left, top) in enumerate(uniforms):
        area = 1 - 0.5 * amount
        stretch = np.exp(np.log(min(4 / 3, 1 / area)) * (2 * shape - 1))
        across, down = np.sqrt(area * stretch), np.sqrt(area / stretch)
        matrix = np.array(
            [[across, 0, left * (1 - across) * SIDE], [0, down, top * (1 - down) * SIDE]]
        )
        if flip < 0.5:
            matrix[0, 0], matrix[0, 2] = -across, matrix[0, 2] + across * SIDE
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # from corners to centres of pixels
        cv2.warpAffine(
            images[number],
            matrix,
            (SIDE, SIDE),
            dst=result[number],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
    return result


def seconds_each(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of processor time in the fastest of some rounds, taken in turn."""
    found = dict.fromkeys(contestants, float("inf"))
    order = list(contestants)
    for _ in range(rounds):
        order = order[1:] + order[:1]
        for name in order:
            began = time.process_time()
            contestants[name]()
            found[name] = min(found[name], time.process_time() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="JPEG files, at any depth")
    parser.add_argument("--quick", action="store_true", help="fewer files and rounds")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    count, rounds = (64, 3) if arguments.quick else (256, 8)
    if arguments.folder is None:
        files = made(count)
    else:
        paths = sorted(arguments.folder.rglob("*.jpg"))
        files = [path.read_bytes() for path in paths[:: max(1, len(paths) // count)][:count]]
    readers = {"Pillow": by_pillow, "simplejpeg": by_simplejpeg, "OpenCV": by_opencv}
    decoding = seconds_each(
        {
            name: lambda read=read: [read(content) for content in files]  # type: ignore[misc]
            for name, read in readers.items()
        },
        rounds,
    )
    images, rng = np.stack([by_pillow(content) for content in files]), np.random.default_rng(0)
    policy = POLICIES["photo"]
    cropping = seconds_each(
        {
            "Pillow": lambda: augment(policy, images, rng.random((len(images), policy.draws))),
            "OpenCV": lambda: cropped(images, rng.random((len(images), 5))),
        },
        rounds,
    )
    ratios = {
        "decoding, simplejpeg": decoding["Pillow"] / decoding["simplejpeg"],
        "decoding, OpenCV": decoding["Pillow"] / decoding["OpenCV"],
        "photo, OpenCV": cropping["Pillow"] / cropping["OpenCV"],
    }
    for epochs in EPOCHS:
        ours = decoding["Pillow"] + epochs * cropping["Pillow"]
        theirs = decoding["Pillow"] + epochs * cropping["OpenCV"]
        ratios[f"Pillow decodes, OpenCV crops, {epochs} epochs"] = ours / theirs
    print(f"{len(files)} files: times as fast as Pillow")
    for name, ratio in ratios.items():
        print(f"{name:42}{ratio:6.2f}")
    rates = {f"decoding, {name}": len(files) / spent for name, spent in decoding.items()}
    rates |= {f"photo, {name}": len(files) / spent for name, spent in cropping.items()}
    print(json.dumps({"ratios": ratios, "images_per_second": rates}))


if __name__ == "__main__":
    main()
