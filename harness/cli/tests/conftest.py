"""Runs the program as its user does: build/qconform (BUILD names another folder), from the folder of the checkout."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import h5py
import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ROOT / os.environ.get("BUILD", "build") / "qconform"
RECORDINGS = ROOT / "fixtures" / "recordings"
FOREIGN = ROOT / "fixtures" / "foreign"


def rows():
    """Every shipped recording with the verdict that it must get."""
    own = json.loads((ROOT / "fixtures" / "recordings.json").read_text())["recordings"]
    foreign = json.loads((ROOT / "fixtures" / "foreign.json").read_text())["recordings"]
    return [(folder / row["file"], {**row["expected"], "patched": "patch" in row, "level": row.get("level", "modules"),
                                      "source": row.get("source", "")})
            for folder, table in ((RECORDINGS, own), (FOREIGN, foreign)) for row in table]


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


@pytest.fixture
def qconform():
    def run(*arguments, **variables):
        done = subprocess.run([str(PROGRAM), *map(str, arguments)], cwd=ROOT, env={**os.environ, **variables},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
        check_result(done.stdout)
        return Outcome(done)
    return run


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
