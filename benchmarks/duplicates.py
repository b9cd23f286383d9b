"""Finding duplicate images while a folder is loaded: how many are found, and how long it takes.

Writes 1,000 synthetic photos of 500×400 pixels as JPEG (`--quick`: 300 of 250×200), 30 of them
with an exact copy and 30 others saved again: as JPEG of another quality, as PNG, or at half the
size. Loads them, counts the copies found, and compares the time for thumbnails and the search with
the time of decoding alone, in one process. With `--folder`, the photos come from a folder; found
pairs that were not made here are listed: they may be copies, or mistakes. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from kt_tuning.core.records import PixelFormat
from kt_tuning.data import image_files, load_images
from kt_tuning.data.decode import decode
from kt_tuning.data.duplicates import find_duplicates, thumbnail

COPIES = 30


def photo(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw smooth shapes, edges and a little noise: as large a file as a photo."""
    coarse = rng.integers(0, 256, (rng.integers(3, 7), rng.integers(3, 7), 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    pixels = pixels.astype(np.float32)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(12):
        row, column = rng.integers(0, height), rng.integers(0, width)
        down, across = (
            rng.integers(height // 20, height // 3),
            rng.integers(width // 20, width // 3),
        )
        inside = ((rows - row) / down) ** 2 + ((columns - column) / across) ** 2 < 1
        pixels[inside] = 0.4 * pixels[inside] + 0.6 * rng.integers(0, 256, 3)
    noise = rng.normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def save_again(path: Path, number: int) -> Path:
    """Write a photo once more, in one of four ways, beside the first."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        if number % 4 == 3:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        copy = path.with_name(f"again_{path.stem}{'.png' if number % 4 == 2 else '.jpg'}")
        image.save(copy, quality=(60, 80, 100, 85)[number % 4])
    return copy


def make_folder(
    folder: Path, photos: list[Path] | None, count: int, size: tuple[int, int]
) -> dict[str, set[frozenset[str]]]:
    """Write the images in two classes, drawn by lot; return the pairs of copies by kind."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / f"class_{rng.integers(2)}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if photos is None:
            photo(rng, *size).save(path, quality=92)
        else:
            shutil.copy(photos[number], path)
        paths.append(path)
    pairs: dict[str, set[frozenset[str]]] = {"exact": set(), "saved again": set()}
    for number, path in enumerate(paths[:COPIES]):
        copy = folder / f"class_{rng.integers(2)}" / f"copy_{number}.jpg"
        shutil.copy(path, copy)
        pairs["exact"].add(frozenset((path.name, copy.name)))
    for number, path in enumerate(paths[COPIES : 2 * COPIES]):
        pairs["saved again"].add(frozenset((path.name, save_again(path, number).name)))
    return pairs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, help="photos, in any layout")
    parser.add_argument("--image-size", type=int, default=None)
    arguments = parser.parse_args()
    photos = None if arguments.folder is None else image_files(arguments.folder)
    count = 300 if arguments.quick else 1000
    count = count if photos is None else min(count, len(photos))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        size = (250, 200) if arguments.quick else (500, 400)
        made = make_folder(folder, photos, count, size)
        data = load_images(
            folder, image_size=arguments.image_size, cache=Path(scratch) / "cache", progress=False
        )
        files = [path for name in data.class_names for path in image_files(folder / name)]
        names = [path.name for path in files]
        sets = (*data.duplicates.exact, *data.duplicates.similar)
        found = {
            frozenset((names[first], names[other]))
            for places in sets
            for number, first in enumerate(places)
            for other in places[number + 1 :]
        }
        group = data.duplicates.groups(len(files))
        parts = {part: set(group[index].tolist()) for part, index in data.indices.items()}
        torn = sum(
            len(parts[a] & parts[b])
            for a, b in (("train", "validation"), ("train", "test"), ("validation", "test"))
        )
        pixels = PixelFormat(*data.input_shape)
        decoding = thumbnailing = 0.0
        images, small = [], []
        for path in files:
            began = time.perf_counter()
            picture = decode(path.read_bytes(), pixels).picture
            images.append(np.asarray(picture).reshape(pixels.shape))
            decoded = time.perf_counter()
            small.append(np.asarray(thumbnail(picture)))
            decoding += decoded - began
            thumbnailing += time.perf_counter() - decoded
        stacked = np.stack(images), np.stack(small)
        began = time.perf_counter()
        find_duplicates(*stacked)
        searching = time.perf_counter() - began
    expected = made["exact"] | made["saved again"]
    result = {
        "images": len(files),
        "pixels": list(data.input_shape),
        "made": {kind: len(pairs) for kind, pairs in made.items()},
        "found": {kind: len(pairs & found) for kind, pairs in made.items()},
        "missed": len(expected - found),
        "not_made_here": sorted(sorted(pair) for pair in found - expected),
        "groups_on_both_sides": torn,
        "seconds": {"decoding": decoding, "thumbnails": thumbnailing, "search": searching},
        "share_of_decoding": (thumbnailing + searching) / decoding,
    }
    print(f"{len(files):,} images of {'×'.join(map(str, data.input_shape))}")
    for kind, pairs in made.items():
        print(f"{kind:28}{len(pairs & found):6} of {len(pairs)} found")
    print(f"{'found, but not made here':28}{len(found - expected):6}")
    print(f"{'groups on both sides':28}{torn:6}")
    for name, seconds in result["seconds"].items():
        print(f"{name:28}{seconds:8.2f} s{seconds / decoding:8.1%}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
