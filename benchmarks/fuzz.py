"""Thousands of hostile inputs: none may crash, hang, print a traceback or take much memory.

The kinds are those of `tests/kt_tuning/fuzz_kinds.py`: image files, folders, tables, `.npz` files,
options of `kt-tuning run` and files of them, files of a finished run under every command, and
requests to an exported model. Every input has to give a value that passes the checks of its kind,
or one of the errors of kt-tuning. A fault is any other exception, a RuntimeWarning, a wrong value,
the death of the process, or an input that takes more than 10 seconds of processor time.

Each kind has a process, whose peak resident memory is compared with `PEAK`. After a death, or the
number of inputs that the kind sets for a process, the next process goes on with other inputs. Equal
seeds give equal inputs. A fault is printed with its input, which `--feed` takes again:

    python benchmarks/fuzz.py --inputs 20000 --seed 0
    python benchmarks/fuzz.py --kinds images tables --inputs 5000
    python benchmarks/fuzz.py --kinds images --feed "(('JPEG RGB', None, [], False), (8, 8, 3, 16))"

Linux only. `--quick` takes 210 inputs. The last line is one JSON object; the exit status is 1 if
there is a fault or the limit of memory is exceeded.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# First the packages: in `tests` there are folders of their names.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests/kt_tuning"))

from fuzz_kinds import KINDS

from kt_tuning.core.errors import KtTuningError

ROOT = Path(__file__).parents[1]
PEAK = 3.0
"""GiB of resident memory that a process may take, TensorFlow's share included."""
PATIENCE = 10.0
"""Seconds of processor time that an input may take."""
BLOCKED = 120.0
"""Seconds after which an input counts as one that waits for ever."""
SETUP = 300.0
"""Seconds that the set-up may take, with the first input and the imports that it brings."""
POLL = 0.1
RESULTS, CURRENT = "results", "current"
"""Files of a child: a line per input, and the input that is being fed."""


def feed(kind: str, count: int, seed: int, folder: Path, *, heavy: bool) -> None:
    """Feed inputs of a kind, and write down what came of each."""
    faulthandler.enable()
    logging.getLogger("kt_tuning").setLevel(logging.CRITICAL)
    os.environ["KT_TUNING_CACHE"] = str(folder / "cache")
    (folder / "own").mkdir()
    fuzzed = KINDS[kind](folder / "own")

    def write(case: Any) -> None:
        (folder / CURRENT).write_text(repr(case), encoding="utf-8", errors="backslashreplace")

    def note(case: Any, error: Exception | None) -> None:
        line = "value" if error is None else "refused"
        if error is not None and not isinstance(error, KtTuningError):
            traceback.print_exception(error)
            line = json.dumps({"fault": _where(error), "input": repr(case)})
        results.write(f"{line}\n")

    with open(folder / RESULTS, "w", buffering=1, encoding="utf-8") as results:
        fuzzed.feed_many(count, folder / "input", note, before=write, start=seed, heavy=heavy)


def _where(error: Exception) -> str:
    """Return the kind of an error and the place of ours that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{ROOT}/kt_tuning/" in frame.filename] or frames
    name = ours[-1].filename.removeprefix(f"{ROOT}/")
    return f"{type(error).__name__} in {name}:{ours[-1].lineno}"


def _processor_time(process: int) -> float:
    """Return the seconds that a process has computed."""
    # "pid (name) state parent …", where the name may hold spaces.
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(
    kind: str, count: int, seed: int, folder: Path, *, heavy: bool
) -> tuple[list[str], str, float]:
    """Run a process that feeds inputs.

    Returns:
        A line for each input that ended, the reason of a death or "", and the peak in GiB.
    """
    arguments = ["--kinds", kind, "--inputs", str(count), "--seed", str(seed)]
    arguments += ["--heavy"] if heavy else []
    with open(folder / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error::RuntimeWarning", __file__),
                *(*arguments, "--into", str(folder)),
            ],
            stdout=log,
            stderr=log,
        )
    results, size, polls, spent, stuck = folder / RESULTS, 0, 0, 0.0, False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(POLL)
        before, size = size, results.stat().st_size if results.exists() else 0
        # Polls and not the clock: the machine may be suspended.
        polls = polls + 1 if size == before else 0
        spent = spent if size == before else _processor_time(process.pid)
        waited = polls * POLL > (BLOCKED if size else SETUP)
        if waited or (size and _processor_time(process.pid) > spent + PATIENCE):
            stuck = True
            os.kill(process.pid, signal.SIGABRT)
    process.returncode = os.waitstatus_to_exitcode(status)
    reason = ""
    if stuck:
        reason = f"more than {PATIENCE:.0f} seconds, or waiting for ever"
    elif process.returncode:
        reason = f"exit status {process.returncode}"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return lines, reason, usage.ru_maxrss / 2**20


def fuzz(kind: str, count: int, seed: int) -> dict[str, Any]:
    """Feed inputs of a kind; return what was counted."""
    began, peak, starts = time.perf_counter(), 0.0, 0
    counts: collections.Counter[str] = collections.Counter()
    faults: collections.Counter[str] = collections.Counter()
    while counts.total() < count:
        most = min(count - counts.total(), KINDS[kind].per_process or count)
        with tempfile.TemporaryDirectory(prefix="kt-tuning-fuzz-") as temporary:
            folder = Path(temporary)
            lines, reason, used = watch(kind, most, seed + starts, folder, heavy=not starts)
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")
            if not (folder / CURRENT).exists():
                raise SystemExit(f"{kind} cannot be prepared, {reason}:\n{log}")
            if reason:
                last = (folder / CURRENT).read_text(encoding="utf-8")
                lines.append(json.dumps({"fault": reason, "input": last}))
        counts.update("fault" if line.startswith("{") else line for line in lines)
        found = [json.loads(line) for line in lines if line.startswith("{")]
        for fault in found:
            if fault["fault"] not in faults:
                print(f"{kind}: {fault['fault']}\n{fault['input']}", file=sys.stderr)
            faults[fault["fault"]] += 1
        if found:
            print(log[-4000:], file=sys.stderr)
        peak, starts = max(peak, used), starts + 1
    return {
        "inputs": counts.total(),
        **{name: counts[name] for name in ("value", "refused", "fault")},
        "faults": dict(faults),
        "peak_gib": round(peak, 3),
        "seconds": round(time.perf_counter() - began, 1),
    }


def feed_one(kind: str, text: str) -> None:
    """Feed one input; its error is printed as a traceback."""
    with tempfile.TemporaryDirectory(prefix="kt-tuning-fuzz-") as temporary:
        folder = Path(temporary)
        (folder / "own").mkdir()
        (folder / "input").mkdir()
        fuzzed = KINDS[kind](folder / "own")
        with fuzzed.prepared():
            # Not `literal_eval`: an input may have inf and nan.
            fuzzed.feed(eval(text, {"inf": math.inf, "nan": math.nan}), folder / "input")  # noqa: S307


def main() -> int:
    """Fuzz and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--inputs", type=int, default=20_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--feed", metavar="INPUT", help="one input of the kind, as it was printed")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--heavy", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.into is not None:
        kind, heavy = arguments.kinds[0], arguments.heavy
        feed(kind, arguments.inputs, arguments.seed, arguments.into, heavy=heavy)
        return 0
    if arguments.feed is not None:
        feed_one(arguments.kinds[0], arguments.feed)
        return 0
    inputs = 210 if arguments.quick else arguments.inputs
    shares = sum(KINDS[kind].share for kind in arguments.kinds)
    figures = {}
    print(
        f"{'kind':10}{'inputs':>8}{'values':>8}{'refused':>9}{'faults':>8}{'peak GiB':>10}{'s':>7}"
    )
    for kind in arguments.kinds:
        count = -(-inputs * KINDS[kind].share // shares)
        figures[kind] = row = fuzz(kind, count, arguments.seed)
        print(
            f"{kind:10}{row['inputs']:8}{row['value']:8}{row['refused']:9}{row['fault']:8}"
            f"{row['peak_gib']:10}{row['seconds']:7.0f}",
            flush=True,
        )
    total = sum(row["inputs"] for row in figures.values())
    faults = sum(row["fault"] for row in figures.values())
    peak = max(row["peak_gib"] for row in figures.values())
    print(
        json.dumps(
            {
                "quick": arguments.quick,
                "seed": arguments.seed,
                "inputs": total,
                "faults": faults,
                "peak_gib": peak,
                "limit_gib": PEAK,
                "kinds": figures,
            }
        )
    )
    return int(faults > 0 or peak > PEAK)


if __name__ == "__main__":
    sys.exit(main())
