"""CONTRIBUTING.md keeps its word: a cause is added in the files that it names and in no others."""

import json
import os
import re
import shutil
import subprocess

import h5py
import pytest

from conftest import RECORDINGS, ROOT

pytestmark = pytest.mark.skipif("BUILD" in os.environ and os.environ["BUILD"] != "build", reason="builds a program of its own")

HEALTHY = "qwen2-prompt-tf4.44.2-peft0.13.2.h5"


def named(recipe):
    """The files of one table of CONTRIBUTING.md."""
    section = re.search(rf"^### {recipe}\n(.*?)^##", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S).group(1)
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.M))


@pytest.mark.parametrize("recipe", ["A cause", "A case", "A site", "A report format", "A family of models", "An adapter type"])
def test_named_files_are_there(recipe):
    files = named(recipe)
    assert files and all((ROOT / file).exists() or "NAME" in file for file in files)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A copy of the tree with what was built in it, so that only what changed is built again."""
    copy = tmp_path_factory.mktemp("recipe") / "tree"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for part in ("reference", "reports", "harness", "libraries.mk", ".packages", ".test-packages"):
        if (ROOT / "build" / part).is_dir():
            shutil.copytree(ROOT / "build" / part, copy / "build" / part)
        elif (ROOT / "build" / part).exists():
            shutil.copy2(ROOT / "build" / part, copy / "build" / part)
    return copy


def add_deviation(path):
    path.write_text(path.read_text() + "DEVIATION(MADE_UP, \"made-up-cause\", PROTOCOL, rules->inject_first = false; rules->extend_mask = false)\n")


def add_cause(path):
    block = ('CAUSE("made-up-cause", "A made-up cause", "It is made up by a test, so that the recipe is tried whenever the tests run, and it '
             'says so at length.", "PEFT {peft} is innocent", "Upgrade nothing.", "https://github.com/huggingface/peft/issues/0")\n'
             'KNOWN("made-up-cause", "", "", "", "", "", "peft 9.9.9")\n')
    path.write_text(path.read_text().replace("#undef CAUSE", block + "\n#undef CAUSE", 1))


def add_row(path):
    table = json.loads(path.read_text())
    table["recordings"].append({**table["recordings"][0], "file": "made-up.h5", "expected": {"status": "FAIL", "cause": "unclassified"}})
    path.write_text(json.dumps(table, indent=2) + "\n")


def add_recording(folder):
    """A healthy run whose first projection of a feed-forward is half as large again: no cause explains it."""
    shutil.copy(RECORDINGS / HEALTHY, folder / "made-up.h5")
    with h5py.File(folder / "made-up.h5", "r+", libver=("earliest", "v110")) as file:
        tap = file["/steps/000000/taps/model.layers.0.mlp.up_proj"]
        tap[...] = tap[()] * 1.5


def add_block(path):
    suite = json.loads(path.read_text())
    suite["cases"].append({**suite["cases"][0], "id": "prompt/made-up", "recording": "made-up.h5"})
    path.write_text(json.dumps(suite, indent=2) + "\n")


EDITS = {"reference/deviations.def": add_deviation, "harness/diagnose/causes.def": add_cause, "fixtures/recordings.json": add_row,
         "fixtures/recordings/": add_recording, "suites/NAME/suite.json": add_block}


def test_a_cause_takes_the_named_files_and_no_others(scratch):
    assert named("A cause") == set(EDITS)
    for name, edit in EDITS.items():
        edit(scratch / name.replace("NAME", "prompt"))
    built = subprocess.run(["make", "-j2", "build/qconform"], cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert built.returncode == 0, built.stdout[-3000:]

    def ask(*words):
        return subprocess.run(["build/qconform", *words], cwd=scratch, stdout=subprocess.PIPE, text=True).stdout

    case = json.loads(ask("diagnose", "--json", "fixtures/recordings/made-up.h5"))["cases"][0]
    assert case["status"] == "FAIL" and case["cause"]["id"] == "unclassified"
    lists = re.search(r"^  list ", ask("help"), re.M)
    said = ask("list", "causes") if lists else json.dumps(case["findings"])
    assert "made-up-cause" in said and "prompt-not-injected" in said

    assert "prompt/made-up" in ask("run", "--list", "suites/prompt")

    # what is planted is another cause's doing too: selftest tells that no row explains it
    done = subprocess.run(["build/qconform", "selftest", "--json", f"fixtures/recordings/{HEALTHY}"], cwd=scratch, stdout=subprocess.PIPE)
    row = next(row for row in json.loads(done.stdout)["planted"] if row["id"] == "made-up-cause")
    assert done.returncode == 1 and (row["outcome"], row["named"]) == ("misnamed", "adapter-bypassed") and "equivalences.def" in row["reason"]
