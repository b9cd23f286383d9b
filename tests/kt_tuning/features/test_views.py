"""Features of several augmented views of each image."""

import numpy as np
import pytest

from kt_tuning import ImageData
from kt_tuning.augment import Policy, Step
from kt_tuning.features import FeatureCache, Views

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1)).astype(np.uint8)
DATA = ImageData.from_arrays(PIXELS, np.arange(20) % 2)
FLIP = Policy((Step("flip", 1.0, 1.0),))


class Extractor:
    """The left half of an image, as feature maps."""

    digest = "left half"

    def __init__(self):
        self.seen = 0

    def features(self, images):
        self.seen += len(images)
        return images[:, :, :2].astype(np.float32)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(DATA.content, len(DATA.labels), tmp_path)


def test_the_first_view_is_the_image_itself_and_others_are_augmented(cache):
    views = Views(DATA.train, Extractor(), cache, FLIP)
    images, places = DATA.train.images, np.arange(len(DATA.train))
    assert views.shape == (len(DATA.train), 4, 2, 1)
    first = views.choose(places, np.zeros((len(places), 1)))
    assert (first == images[:, :, :2]).all()
    last = views.choose(places, np.full((len(places), 1), 0.99))
    assert (last == images[:, :, :1:-1]).all()


def test_each_image_has_a_view_of_its_own(cache):
    views = Views(DATA.train, Extractor(), cache, FLIP)
    images = DATA.train.images[[3, 5]]
    found = views.choose(np.array([3, 5]), np.array([[0.0], [0.5]]))
    assert (found == np.stack([images[0, :, :2], images[1, :, :1:-1]])).all()


def test_views_are_computed_once(cache):
    Views(DATA.train, Extractor(), cache, FLIP)
    again = Extractor()
    Views(DATA.train, again, cache, FLIP)
    assert again.seen == 0


@pytest.mark.parametrize(
    ("policy", "options"), [(Policy(), {}), (FLIP, {"until": 0.0})], ids=["plain", "no time"]
)
def test_there_may_be_one_view_alone(cache, policy, options):
    views = Views(DATA.train, Extractor(), cache, policy, **options)
    last = views.choose(np.arange(4), np.full((4, 1), 0.99))
    assert (last == DATA.train.images[:4, :, :2]).all()


def test_there_are_no_more_views_than_memory_holds(cache, monkeypatch):
    # 8 numbers of 2 bytes an image.
    monkeypatch.setattr("kt_tuning.features.cache.MEMORY", 2 * 16 * len(DATA.train))
    extractor = Extractor()
    Views(DATA.train, extractor, cache, FLIP)
    assert extractor.seen == 2 * len(DATA.train)
