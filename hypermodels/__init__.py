"""Reusable `keras_tuner.HyperModel` classes for image classification."""

from hypermodels.base import ImageHyperModel
from hypermodels.convnet import ConvNet
from hypermodels.families import FAMILY, HYPERMODELS, Families
from hypermodels.finetune import FineTune
from hypermodels.linear_probe import LinearProbe
from hypermodels.mlp import MLP
from hypermodels.recurrent import Recurrent
from hypermodels.resnet import ResNet
from hypermodels.space import Space
from hypermodels.vit import ViT
from hypermodels.xception import Xception

__all__ = [
    "FAMILY",
    "HYPERMODELS",
    "MLP",
    "ConvNet",
    "Families",
    "FineTune",
    "ImageHyperModel",
    "LinearProbe",
    "Recurrent",
    "ResNet",
    "Space",
    "ViT",
    "Xception",
]
