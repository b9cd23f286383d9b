"""The one table of families that the command line, the tests and the docs read."""

from hypermodels.base import ImageHyperModel
from hypermodels.convnet import ConvNet
from hypermodels.finetune import FineTune
from hypermodels.linear_probe import LinearProbe
from hypermodels.mlp import MLP
from hypermodels.recurrent import Recurrent
from hypermodels.resnet import ResNet
from hypermodels.vit import ViT
from hypermodels.xception import Xception

HYPERMODELS: dict[str, type[ImageHyperModel]] = {
    "convnet": ConvNet,
    "resnet": ResNet,
    "xception": Xception,
    "mlp": MLP,
    "recurrent": Recurrent,
    "vit": ViT,
    "finetune": FineTune,
    "linearprobe": LinearProbe,
}
