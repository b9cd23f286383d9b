"""Loading of images: folders, tables, files and arrays become an `ImageData`."""

from kt_tuning.data.decode import decode_image
from kt_tuning.data.groups import Groups
from kt_tuning.data.image_data import ImageData
from kt_tuning.data.image_files import image_files
from kt_tuning.data.image_split import ImageSplit
from kt_tuning.data.load_data import load_images

__all__ = ["Groups", "ImageData", "ImageSplit", "decode_image", "image_files", "load_images"]
