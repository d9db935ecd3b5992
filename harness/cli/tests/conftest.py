"""Runs the program as its user does: build/qconform (BUILD names another folder), from the folder of the checkout."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import h5py
import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ROOT / os.environ.get("BUILD", "build") / "qconform"
sys.path.append(str(ROOT / "fixtures"))  # whose table.py says whether a case is what its row asks for
RECORDINGS = ROOT / "fixtures" / "recordings"
FOREIGN = ROOT / "fixtures" / "foreign"


def rows():
    """Every shipped recording with the verdict that it must get."""
    own = json.loads((ROOT / "fixtures" / "recordings.json").read_text())["recordings"]
    foreign = json.loads((ROOT / "fixtures" / "foreign.json").read_text())["recordings"]
    return [(folder / row["file"], {**row["expected"], "patched": "patch" in row, "level": row.get("level", "modules"),
                                      "source": row.get("source", "")})
            for folder, table in ((RECORDINGS, own), (FOREIGN, foreign)) for row in table]


# What `make asan` leaves out of these tests, and why; this is the one list of it. Each run takes about ten times as long
# there, and the sanitizers need each line to run once, on each kind of data, not each recording to be judged: the judge goes
# over all recordings in the unit test diagnose::every_shipped_recording, under the sanitizers too. Beginnings of test ids.
UNSANITIZED = {
    "test_commands.py::test_result_keeps_its_contract": "judges all recordings; test_shipped_recording does, one of each kind",
    "test_commands.py::test_table_of_several": "judges all recordings, for the table",
    "test_faults.py": "the sanitizers replace the allocator themselves",
    "test_install.py": "copies files",
    "test_recipes.py": "builds the program anew",
    "test_reports.py": "looks at texts; reports are written in test_outputs.py, their unit tests and the target of fuzz",
    "test_sensitivity.py": "judges two hundred copies of recordings",
    "test_run.py::test_what_did_not_reach": "as test_faults.py",
    "test_selftest.py::test_every_cause": "plants in several recordings",
    "test_selftest.py::test_no_cell": "plants in several recordings; the unit tests plant in each kind",
    "test_selftest.py::test_rows_of_several": "plants in several recordings",
    "test_selftest.py::test_two_at_once": "plants in several recordings",
    "test_selftest.py::test_relations_hold": "plants in several recordings; the unit tests play each relation",
    "test_shipped_suites.py::test_the_suites_end_well": "judges 75 recordings; test_run.py runs suites under the sanitizers",
    "test_shipped_suites.py::test_the_structural_gate": "judges 29 copies of recordings",
    "test_sweep.py::test_two_thousand_flipped_bytes": "reads the small file that test_cut_at_every_61st_byte reads, 2000 times",
    "test_verdicts.py::test_same_inputs_same_bytes": "plays all recordings three times, to compare the plays",
    "test_verdicts.py::test_verdicts_do_not_depend_on_the_blas_kernel": "plays all recordings twice, to compare the plays",
    "test_workflow.py": "runs and merges what test_run.py and test_merge.py do, with more recordings",
}


def kinds():
    """File names of one recording of each kind: model, adapter, level, call, element type, and whether it is healthy."""
    table = json.loads((ROOT / "fixtures" / "recordings.json").read_text())["recordings"]
    names = ("model", "peft_type", "level", "kind", "dtype")
    return set({(*(row.get(name) for name in names), row["expected"]["status"]): row["file"] for row in table}.values())


def pytest_collection_modifyitems(config, items):
    if "asan" not in PROGRAM.parent.name:
        return
    judged, shipped = kinds(), "test_verdicts.py::test_shipped_recording"

    def wanted(item):
        name = item.nodeid.rpartition("/")[2]
        if name.startswith(shipped):
            return item.callspec.params["path"].name in judged
        return not name.startswith(tuple(UNSANITIZED))
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = filter(wanted, items)


def options():
    """Every option that writes a file, as the program lists them."""
    text = subprocess.run([str(PROGRAM), "help", "report"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"^ +(--[a-z-]+) FILE\b", text, re.M)


OPTIONS = options()


class Outcome:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def case(self):
        assert len(self.document["cases"]) == 1
        return self.document["cases"][0]


RESULTS = jsonschema.Draft202012Validator(json.loads((ROOT / "reports" / "result.schema.json").read_text()))


def check_result(text):
    """Every result that any of these tests sees keeps the schema."""
    if text.startswith("{") and '"qconform-result/1"' in text[:60]:
        RESULTS.validate(json.loads(text))


@pytest.fixture(scope="session")
def qconform():
    def run(*arguments, **variables):
        done = subprocess.run([str(PROGRAM), *map(str, arguments)], cwd=ROOT, env={**os.environ, **variables},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
        check_result(done.stdout)
        return Outcome(done)
    return run


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Preloaded, it makes one call to the system fail (fixtures/faultlib.c)."""
    path = tmp_path_factory.mktemp("faults") / "faultlib.so"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", ROOT / "fixtures" / "faultlib.c", "-o", path], check=True)
    return path


@pytest.fixture
def damaged(tmp_path):
    """A copy of a shipped recording that a function may change."""
    def copy(name, change):
        path = tmp_path / pathlib.Path(name).name
        shutil.copy(name if pathlib.Path(name).is_absolute() else RECORDINGS / name, path)
        path.chmod(0o644)
        with h5py.File(path, "r+", libver=("earliest", "v110")) as file:
            change(file)
        return path
    return copy
