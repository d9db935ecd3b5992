"""Every call to the system that can fail fails once, and then for ever: no crash, no half file, no success without its output.

`fixtures/faultlib.c` makes the n-th call of a kind fail.  Where a scenario makes more such calls than FAULTS (default
10, "all" for `make faults`), evenly spread ones are taken.
"""

import concurrent.futures
import errno
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import pytest

from conftest import FOREIGN, OPTIONS, PROGRAM, ROOT

RECORDING = FOREIGN / "qwen2-prompt-not-injected-shapes.h5"
SAMPLE = ROOT / "reports" / "tests" / "failing.json"
OUTPUTS = [word for option in OPTIONS for word in (option, "out" + option)]
DOCUMENTED = {0, 1, 2, 3, 4, 5, 70, 74}

SCENARIOS = {
    "diagnose": (1, ["diagnose", RECORDING, *OUTPUTS]),
    "report": (0, ["report", SAMPLE, *OUTPUTS]),
    "inspect": (0, ["inspect", RECORDING]),
    "version": (0, ["version", "--json"]),
}
REASONS = {"write": [errno.ENOSPC, errno.EIO, errno.EINTR, "short"], "fsync": [errno.EIO, errno.EINTR], "rename": [errno.EIO],
           "open": [errno.EMFILE], "close": [errno.EIO, errno.EINTR], "mmap": [errno.ENOMEM], "memory": [errno.ENOMEM]}


class Run:
    """One run of a scenario in a folder of its own, with old files where its outputs go."""

    def __init__(self, library, arguments, call, at, reason=0, sticky=False, where="parent", path="/nonexistent"):
        self.what = f"{call} call {at} fails with {reason}{', and all later ones' if sticky else ''}, in the {where}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="faults-"))
        self.names = [name for name in arguments if name in OUTPUTS and name.startswith("out")]
        for name in self.names:
            (self.folder / name).write_text("old")
        with tempfile.NamedTemporaryFile() as counter:
            counter.write(bytes(8))
            counter.flush()
            short = reason == "short"
            environment = {"PATH": path, "SOURCE_DATE_EPOCH": "0", "LD_PRELOAD": str(library), "FAULT_CALL": call, "FAULT_AT": str(at),
                           "FAULT_STICKY": str(int(sticky)), "FAULT_SHORT": str(int(short)), "FAULT_ERRNO": str(0 if short else int(reason)),
                           "FAULT_IN": where, "FAULT_COUNT": counter.name}
            done = subprocess.run([str(PROGRAM), *map(str, arguments)], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
            self.calls = struct.unpack("<Q", pathlib.Path(counter.name).read_bytes())[0]
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.files = {entry.name: entry.read_text() for entry in self.folder.iterdir()}
        shutil.rmtree(self.folder)

    def complete(self, name, whole):
        """Like what the run without a fault wrote: the same, or of another case or another duration and ending in the same way."""
        text = self.files[name]
        try:
            if name == "out--json-out":
                return text == whole or bool(json.loads(text))
            if name == "out--csv":
                return text.splitlines()[:1] == whole.splitlines()[:1] and text[-1:] == "\n"
            return bool(text) and text[-8:] == whole[-8:]
        except ValueError:
            return False

    def held(self, usual, whole):
        """What must hold whatever failed."""
        if self.code not in DOCUMENTED:
            return f"{self.what}: exit status {self.code}; {self.err}"
        if set(self.files) != set(self.names):
            return f"{self.what}: the folder holds {sorted(self.files)}"
        for name in self.names:
            if self.files[name] != "old" and not self.complete(name, whole.files[name]):
                return f"{self.what}: {name} is neither the old file nor a complete one"
        if self.code == usual and (not self.out or any(self.files[name] == "old" for name in self.names)):
            return f"{self.what}: exit status {self.code}, but an output is missing"
        if self.code not in (usual, 5) and not self.err + self.out:
            return f"{self.what}: exit status {self.code} without a word"
        return None


def points(calls):
    """Which calls fail: all, or evenly spread ones with the first and the last."""
    wanted = os.environ.get("FAULTS", "10")
    count = calls if wanted == "all" else min(int(wanted), calls)
    return sorted({1 + round(i * (calls - 1) / max(count - 1, 1)) for i in range(count)})


def sweep(library, scenario, call, where="parent", **more):
    usual, arguments = SCENARIOS[scenario]
    counted = Run(library, arguments, call, 0, where=where, **more)
    assert counted.code == usual, counted.err
    plans = [(at, reason, sticky) for reason in REASONS[call] for at in points(counted.calls) for sticky in (False, True)
             if not (sticky and reason in (errno.EINTR, "short"))]  # a call that is interrupted for ever ends never
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda plan: Run(library, arguments, call, *plan, where=where, **more), plans))
    broken = [said for said in (run.held(usual, counted) for run in runs) if said]
    assert not broken, "\n".join(broken[:20])
    return counted, runs


@pytest.mark.parametrize("call", REASONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_failing_call_is_survived(library, scenario, call):
    sweep(library, scenario, call)


@pytest.mark.parametrize("call", ["memory", "write", "mmap", "close"])
@pytest.mark.parametrize("scenario", ["diagnose", "inspect"])
def test_a_worker_that_fails_costs_its_case_alone(library, scenario, call):
    _, runs = sweep(library, scenario, call, where="worker")
    assert {run.code for run in runs} <= {0, 1, 3, 4, 5}


def test_a_failing_pipe_to_gnuplot_costs_the_plots_alone(library):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    sweep(library, "report", "write", path=os.environ["PATH"])


def test_memory_that_runs_out_is_said(library):
    counted, runs = sweep(library, "report", "memory")
    assert counted.calls > 100
    assert any(run.code == 70 and "out of memory" in run.err for run in runs)


@pytest.mark.parametrize("reason", [errno.EINTR, "short"])
def test_an_interrupted_or_short_write_is_finished(library, reason):
    whole = Run(library, SCENARIOS["report"][1], "write", 0)
    for at in points(whole.calls):
        done = Run(library, SCENARIOS["report"][1], "write", at, reason)
        assert done.code == 0 and done.files == whole.files and done.out == whole.out, done.what


@pytest.mark.parametrize("call, reason", [("write", errno.ENOSPC), ("fsync", errno.EIO), ("rename", errno.EIO), ("open", errno.EMFILE)])
def test_an_output_that_fails_is_exit_74_and_the_old_file(library, call, reason):
    _, arguments = SCENARIOS["report"]
    first = next(at for at in range(1, 20) if Run(library, arguments, call, at, reason).code == 74)
    done = Run(library, arguments, call, first, reason)
    lost = [name for name, text in done.files.items() if text == "old"]
    assert len(lost) == 1 and lost[0] in done.err
