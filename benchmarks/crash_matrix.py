"""Does a training step crash, or compute a wrong gradient, for any family on this processor?

oneDNN, by which TensorFlow computes on x86 processors, has a fault: its weight gradient of a 1×1
convolution with strides and few input channels writes past its memory. Every family's default
configuration therefore takes one training step (two images of random pixels, as a trial builds the
model: batch normalisation in one pass, XLA off) for every number of channels, size of image,
precision and instruction set, each in a process of its own. A process that dies by a signal is a
failure; so is a gradient that differs from the same model's in float64, computed without oneDNN.

The error of a step is the largest of its variables' errors ‖g - r‖ / (‖r‖ + ‖R‖ / 100), where r is
the reference gradient of the variable and R the gradient of all variables together, so that
rounding errors of a variable with a small gradient do not count. The limit in float32 is 0.05:
rounding gives 0.01, and the fault gives more than 0.5 where it does not kill the process. In
bfloat16 results are rounded to 8 bits of mantissa after each layer, which gives 0.2 and more
without any fault; there the limit is 0.5, or three times the error of the same step in bfloat16
without oneDNN, whichever is larger.

Under AVX2, bfloat16 is computed with oneDNN off. oneDNN has no bfloat16 there, and TensorFlow does
not use it on such processors, but does not notice that `ONEDNN_MAX_CPU_ISA` makes this processor
one of them. A failure there is a crash, or a gradient that is not finite.

    python benchmarks/crash_matrix.py
    python benchmarks/crash_matrix.py --families convnet resnet --sizes 28 64
    python benchmarks/crash_matrix.py --quick

`--control` adds a model that has such a convolution of 3 channels, at 96 and 224 pixels, which
crashes, and at 32 pixels under AVX2, which gives a wrong gradient: the matrix has to report it. The
last line is one JSON object; the exit status is 1 if a family fails or the control does not.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FAMILIES = ("convnet", "resnet", "xception", "mlp", "recurrent", "vit", "finetune")
CONTROL = "control"
CHANNELS, SIZES = (1, 3), (28, 64, 96, 160, 224)
FLOAT64, FLOAT32, BFLOAT16 = "float64", "float32", "bfloat16"
DEFAULT, AVX2 = "default", "AVX2"
TOLERANCES = {FLOAT32: 0.05, BFLOAT16: 0.5}
ROUNDING = 3
"""How many times as far as without oneDNN a step in bfloat16 may be off."""
IMAGES, CLASSES = 2, 10
FIXED: dict[str, dict[str, Any]] = {
    # Steps are compared: nothing is dropped at random.
    **{family: {"dropout": 0.0} for family in FAMILIES},
    "finetune": {"dropout": 0.0, "weights": "random", "unfreeze": 1.0},
}
# Importing TensorFlow takes longer than a case. What has not executed an operation can be forked.
FORK = multiprocessing.get_context("fork")


@dataclasses.dataclass(frozen=True)
class Case:
    """One training step.

    Attributes:
        family: Name in `HYPERMODELS`, or "control".
        channels: Of the images.
        size: Height and width of the images, in pixels.
        precision: "float32", "bfloat16" or, for the reference, "float64".
        isa: "default", or what oneDNN is held to.
    """

    family: str
    channels: int
    size: int
    precision: str
    isa: str

    @property
    def onednn(self) -> bool:
        """Whether TensorFlow may use oneDNN."""
        return (self.precision, self.isa) != (BFLOAT16, AVX2)

    @property
    def reference(self) -> Case:
        """What it is compared with."""
        return dataclasses.replace(self, precision=FLOAT64, isa=DEFAULT)


CONTROLS = [
    *(Case(CONTROL, 3, size, FLOAT32, isa) for size in (96, 224) for isa in (DEFAULT, AVX2)),
    Case(CONTROL, 3, 32, FLOAT32, AVX2),
]


def control() -> Any:
    """A hypermodel of the kind that crashes."""
    import keras
    import keras_tuner

    class Control(keras_tuner.HyperModel):
        def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
            layers = keras.layers
            inputs = keras.Input(self.input_shape, dtype="uint8")
            x = layers.Rescaling(1 / 255)(inputs)
            x = layers.Conv2D(32, 1, strides=2)(x)
            x = layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x))
            outputs = layers.Activation("softmax", dtype="float32")(x)
            model = keras.Model(inputs, outputs)
            model.compile("sgd", "sparse_categorical_crossentropy")
            return model

    return Control()


def make_model(case: Case) -> Any:
    """The model of a case, with the same weights in all precisions."""
    import keras
    import keras_tuner

    from hypermodels import HYPERMODELS
    from kt_tuning.trials import fuse_batch_normalization, new_model

    shape = (case.size, case.size, case.channels)
    if case.family == CONTROL:
        hypermodel = control()
        hypermodel.input_shape = shape
    else:
        hypermodel = HYPERMODELS[case.family](shape, CLASSES, **FIXED[case.family])

    def build(policy: str) -> keras.Model:
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        return new_model(hypermodel, keras_tuner.HyperParameters())

    model = build({BFLOAT16: "mixed_bfloat16"}.get(case.precision, FLOAT32))
    if case.precision == FLOAT64:
        exact = build(FLOAT64)
        exact.set_weights(model.get_weights())
        return exact
    fuse_batch_normalization(model)
    return model


def gradients(case: Case) -> list[np.ndarray]:
    """Take one training step; the gradients of all variables, float64."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shape = (IMAGES, case.size, case.size, case.channels)
    images = tf.constant(rng.integers(0, 256, shape, np.uint8))
    labels = tf.constant(rng.integers(0, CLASSES, IMAGES))
    model = make_model(case)

    @tf.function(autograph=False)
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(y=labels, y_pred=model(images, training=True))
        found = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(found, model.trainable_variables, strict=True))
        return found

    return [np.asarray(gradient, np.float64) for gradient in step()]


def error_of(found: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """The largest error of a variable, see above."""
    size = np.sqrt(sum(float(np.square(r).sum()) for r in reference))
    pairs = zip(found, reference, strict=True)
    return max(float(np.linalg.norm(g - r) / (np.linalg.norm(r) + size / 100)) for g, r in pairs)


def _take(case: Case, line: Connection) -> None:
    """What the process of a case does."""
    if case.isa != DEFAULT:
        os.environ["ONEDNN_MAX_CPU_ISA"] = case.isa
    # What a crash prints.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    try:
        line.send(gradients(case))
    except Exception as error:
        line.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def take(case: Case) -> list[np.ndarray] | str:
    """Take a case's step in a process of its own: its gradients, or how it failed."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=_take, args=(case, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = None
    process.join()
    if process.exitcode and process.exitcode < 0:
        return signal.Signals(-process.exitcode).name
    return f"exit status {process.exitcode}" if found is None else found


def compare(cases: Sequence[Case], line: Connection) -> None:
    """Take steps and send of each (case, error, or how it failed); references are taken once."""
    import tensorflow  # noqa: F401

    import hypermodels  # noqa: F401
    import kt_tuning.trials  # noqa: F401

    for reference, alike in itertools.groupby(cases, key=lambda case: case.reference):
        exact = take(reference)
        for case in alike:
            found = exact if isinstance(exact, str) else take(case)
            line.send((case, found if isinstance(found, str) else error_of(found, exact)))


def compare_all(cases: Sequence[Case], *, onednn: bool) -> Any:
    """Yield what `compare` sends, of a process in which TensorFlow may use oneDNN or not."""
    ours, theirs = FORK.Pipe(duplex=False)
    before = dict(os.environ)
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(onednn))
    process = FORK.Process(target=compare, args=(cases, theirs))
    process.start()
    theirs.close()
    os.environ.clear()
    os.environ.update(before)
    for _ in cases:
        yield ours.recv()
    process.join()


def _name_isa(isa: str, path: str) -> None:
    os.environ.update({"ONEDNN_VERBOSE": "1", "TF_ENABLE_ONEDNN_OPTS": "1"})
    with open(path, "w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
    import tensorflow  # noqa: F401

    _take(Case("mlp", 1, 28, FLOAT32, isa), FORK.Pipe()[0])


def isa_of(isa: str) -> str:
    """The instruction set that oneDNN says it uses."""
    with tempfile.NamedTemporaryFile("r") as file:
        process = FORK.Process(target=_name_isa, args=(isa, file.name))
        process.start()
        process.join()
        told = [line.partition("isa:")[2].strip() for line in file if "isa:" in line]
    return told[0] if told else "not told"


def main() -> None:
    """Take all steps and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--channels", nargs="+", type=int, choices=CHANNELS, default=CHANNELS)
    parser.add_argument("--backbone", help="of `finetune`, a name in keras.applications")
    parser.add_argument("--control", action="store_true", help="a model that has to fail, too")
    parser.add_argument("--quick", action="store_true", help="few cases, and the control")
    options = parser.parse_args()
    if options.quick:
        options.families, options.sizes, options.channels = FAMILIES[:2], (28, 96), (3,)
        options.control = True
    if options.backbone:
        FIXED["finetune"]["backbone"] = options.backbone
    isas = {isa: isa_of(isa) for isa in (DEFAULT, AVX2)}
    print("\n".join(f"{name}: {told}" for name, told in isas.items()))
    controls = CONTROLS if options.control else []
    places = itertools.product(options.families, options.channels, options.sizes)
    cases = [
        *(Case(*place, *how) for place in places for how in itertools.product(TOLERANCES, isas)),
        *controls,
    ]
    failed: dict[str, str] = {}
    worst: dict[str, float] = collections.defaultdict(float)
    print(f"{'family':10}{'channels':>9}{'pixels':>8}  {'precision':10}{'ISA':10}{'error':>9}")
    rounding: dict[Case, float] = {}
    for onednn in (False, True):
        chosen = [case for case in cases if case.onednn == onednn]
        for case, found in compare_all(chosen, onednn=onednn) if chosen else ():
            allowed = TOLERANCES[case.precision]
            if not onednn:
                allowed = sys.float_info.max
                rounding[case.reference] = found if isinstance(found, float) else 0.0
            elif case.precision == BFLOAT16:
                allowed = max(allowed, ROUNDING * rounding[case.reference])
            off = isinstance(found, str) or not found <= allowed
            told = found if isinstance(found, str) else f"{found:.1e}"
            print(
                f"{case.family:10}{case.channels:>9}{case.size:>8}  {case.precision:10}"
                f"{case.isa:10}{told:>9}{'  FAILED' if off else ''}",
                flush=True,
            )
            if off:
                failed[" ".join(map(str, dataclasses.astuple(case)))] = told
            elif case.family != CONTROL:
                key = f"{case.precision} {case.isa}"
                worst[key] = max(worst[key], found)
    caught = [name for name in failed if name.startswith(CONTROL)]
    figures = {
        "quick": options.quick,
        "isa": isas,
        "steps": len(cases) - len(controls),
        "failures": len(failed) - len(caught),
        "failed": failed,
        "largest_error": worst,
        "control": {"steps": len(controls), "failures": len(caught)},
    }
    print(json.dumps(figures))
    if len(failed) > len(caught) or len(caught) < len(controls):
        sys.exit(1)


if __name__ == "__main__":
    main()
