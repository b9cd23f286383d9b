"""The command line: one verb a stage.

Keras and TensorFlow are imported by the verbs that need them, so that `--help` answers at once.
"""

from kt_tuning.cli.app import main

__all__ = ["main"]
