"""Tensors are read from PyTorch's files without PyTorch, and nothing else is."""

import os
import pickle

import numpy as np
import pytest

from hypermodels.pretrained import PRETRAINED
from hypermodels.torch_weights import MAGIC, PROTOCOL, read_torch_weights

LITE0 = PRETRAINED["EfficientNetLite0"]


def test_each_tensor_has_its_name_and_shape():
    weights = read_torch_weights(LITE0.path())
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_blocks.0._depthwise_conv.weight"].shape == (32, 1, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)
    assert weights["_fc.weight"].dtype == np.float32
    assert weights["_bn0.running_var"][:2] == pytest.approx([1.6314286, 70.371574])


class Evil:
    """Would create a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_the_file_is_executed(tmp_path):
    path = tmp_path / "evil.pth"
    parts = [MAGIC, PROTOCOL, {}, {"weight": Evil(tmp_path / "made")}, []]
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(ValueError, match=r"mkdir is no part of a dictionary of tensors"):
        read_torch_weights(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(3), b"\x80\x02garbage"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no PyTorch checkpoint that can be read"):
        read_torch_weights(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.99999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    content = LITE0.path().read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="no PyTorch checkpoint that can be read"):
        read_torch_weights(path)
