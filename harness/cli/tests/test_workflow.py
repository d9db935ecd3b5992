"""The workflow of GitHub, and the recipe for others, checked against the schema of workflows and played here: each job of the
matrix in a folder of its own, with nothing but the artifacts carried over."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import ruamel.yaml
from conftest import PROGRAM, ROOT
from same import judged, parting

WORKFLOW = ROOT / ".github" / "workflows" / "conformance.yml"
SUITES = "suites/p-tuning suites/foreign"


def read(text):
    return ruamel.yaml.YAML(typ="safe", pure=True).load(text)


@pytest.fixture(scope="module")
def recipe():
    """What the documentation recommends to other repositories."""
    text = (ROOT / "suites" / "README.md").read_text()
    return "on: push\n" + re.search(r"```yaml\n(jobs:\n.*?)```", text, re.S)[1].replace("IMAGE", "debian:12")


def test_workflow_and_recipe_keep_the_schema_of_workflows(tmp_path, recipe):
    (tmp_path / "recipe.yml").write_text(recipe)
    program = os.path.join(os.path.dirname(sys.executable), "check-jsonschema")
    done = subprocess.run([program, "--builtin-schema", "vendor.github-workflows", str(WORKFLOW), str(tmp_path / "recipe.yml")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


class Play:
    """What GitHub does with a workflow, as far as these need it."""

    def __init__(self, workflow, folder):
        self.workflow, self.folder, self.artifacts, self.codes, self.told = read(workflow), folder, {}, {}, {}

    @staticmethod
    def filled(text, known):
        """The text with its expressions worked out; one that is not known is an error."""
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: str(known[found[1]]), text)

    def checkout(self, name):
        place = self.folder / name
        place.mkdir()
        for entry in ("suites", "fixtures"):
            (place / entry).symlink_to(ROOT / entry)
        (place / "my-suite").symlink_to(ROOT / "suites" / "p-tuning")
        (place / "build").mkdir()
        (place / "build" / "qconform").symlink_to(PROGRAM)
        return place

    def upload(self, place, step, known):
        options = {key: self.filled(str(value), known) for key, value in step["with"].items()}
        found = [place / path for path in options["path"].split("\n") if path and (place / path).exists()]
        assert found or options.get("if-no-files-found") != "error", options
        self.artifacts[options["name"]] = kept = self.folder / "artifacts" / options["name"]
        for path in found:  # of one folder what is in it, of several files all of them
            shutil.copytree(path, kept) if path.is_dir() else (kept.mkdir(parents=True, exist_ok=True), shutil.copy(path, kept))

    def download(self, place, step):
        assert step["with"]["merge-multiple"] is True and step["with"]["pattern"] == "shard-*"
        for name, kept in self.artifacts.items():
            if name.startswith("shard-"):
                shutil.copytree(kept, place / step["with"]["path"], dirs_exist_ok=True)

    def run(self, place, step, known):
        summary = place / "summary.md"
        environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
                       **{key: self.filled(value, known) for key, value in self.workflow.get("env", {}).items()}}
        done = subprocess.run(["sh", "-e", "-c", self.filled(step["run"], known)], cwd=place, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.told[place.name] = done.stdout, summary.read_text() if summary.exists() else ""
        return done.returncode

    def job(self, name, place, known):
        """Step by step; what is left out are the steps that are the same for every project."""
        code = 0
        for step in self.workflow["jobs"][name]["steps"]:
            wanted = code == 0 or step.get("if") == "always()"
            if "run" in step and step.get("name") != "Build" and wanted:
                code = self.run(place, step, known)
            elif "upload-artifact" in step.get("uses", "") and wanted:
                self.upload(place, step, known)
            elif "download-artifact" in step.get("uses", "") and wanted:
                self.download(place, step)
        self.codes[place.name] = code

    def all(self, suites, lost=()):
        inputs = {"inputs.suites || 'suites'": suites}
        shards = self.workflow["jobs"]["shard"]["strategy"]["matrix"]["shard"]
        for shard in shards:
            if shard not in lost:
                self.job("shard", self.checkout(f"shard-{shard}"),
                         {**inputs, "matrix.shard": shard, "strategy.job-total": len(shards)})
        assert self.workflow["jobs"]["merge"]["needs"] == "shard" and self.workflow["jobs"]["merge"]["if"] == "always()"
        self.job("merge", self.checkout("merge"), inputs)
        return self

    @property
    def result(self):
        return json.loads((self.folder / "merge" / "qconform-out" / "result.json").read_text())


def in_one_piece(words, out):
    """The same run unsharded: the document, and the exit status."""
    done = subprocess.run(["sh", "-c", f"{PROGRAM} run {words} -q --out {out}"], cwd=ROOT, stdout=subprocess.DEVNULL)
    return json.loads((out / "result.json").read_text()), done.returncode


def test_the_matrix_gives_the_result_of_the_run_in_one_piece(tmp_path):
    whole, code = in_one_piece(SUITES, tmp_path / "whole")
    play = Play(WORKFLOW.read_text(), tmp_path).all(SUITES)
    assert parting(judged(play.result), judged(whole)) is None
    assert (play.codes["merge"], code) == (0, 0) and len(play.codes) == 5
    assert {path.name for path in play.artifacts["result"].iterdir()} == {"result.json", "junit.xml", "report.html"}
    assert "XFAIL" in play.told["merge"][1]


def test_the_recipe_gives_the_result_of_the_run_in_one_piece(tmp_path, recipe):
    whole, code = in_one_piece("suites/p-tuning", tmp_path / "whole")
    play = Play(recipe, tmp_path).all("")
    assert play.codes["merge"] == code == 0 and len(play.codes) == 5
    assert play.result["summary"] == whole["summary"]
    assert [case["id"] for case in play.result["cases"]] == whole["run"]["cases"]


def test_a_shard_that_was_lost_fails_the_job_that_joins(tmp_path):
    play = Play(WORKFLOW.read_text(), tmp_path).all(SUITES, lost=[3])
    assert play.codes["merge"] == 5 and "missing of 4 shards: 3" in play.told["merge"][0]
    assert play.result["summary"]["NOTRUN"] > 0


def test_a_failure_fails_the_job_that_joins_and_not_the_shard(tmp_path):
    play = Play(WORKFLOW.read_text(), tmp_path).all("--baseline none foreign/prompt/*")
    assert play.codes.pop("merge") == 1 and set(play.codes.values()) == {0}
    assert "::error" in play.told["merge"][0] and "FAIL" in play.told["merge"][1]
