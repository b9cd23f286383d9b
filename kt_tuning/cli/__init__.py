"""The command line: one command per stage.

Keras and TensorFlow are imported by the verbs that need them, so that `--help` answers at once.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; Ctrl-C before a verb begins, while modules are imported, is no traceback."""
    try:
        from kt_tuning.cli.app import main as run

        run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
