"""The shipped recordings made again, now, from the real libraries; each pair in its own environment (build/envs)."""

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import PROGRAM, ROOT, check_result
from table import mistake

TABLE = json.loads((ROOT / "fixtures" / "recordings.json").read_text())
# Rows that run remote code are made only where the user names a repository that holds it.
ROWS = [row for row in TABLE["recordings"] if "code" not in row or os.environ.get("QWEN_V1")]
PAIRS = [tuple(pair) for pair in TABLE["recorder_tests"]]


def record(*arguments):
    """record.py by the system's Python (the pairs' environments are made from it); its lines by what stands before the colon."""
    done = subprocess.run(["python3", str(ROOT / "fixtures" / "record.py"), *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          stderr=sys.stderr)
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


@pytest.fixture(scope="session")
def recorded():
    return record("--check")


@pytest.fixture(scope="session")
def recorder_tests():
    return record("--test")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_recorded_again(recorded, row):
    assert recorded.get(row["file"], "NOT MADE").startswith("agrees")


@pytest.fixture(scope="session")
def judged(recorded):
    """What the program finds in each of them, by file name; one run for all."""
    paths = [ROOT / "build" / "live" / file for file, said in recorded.items() if said.startswith(("agrees", "DIFFERS"))]
    done = subprocess.run([str(PROGRAM), "diagnose", "--json", "-j", "2", *map(str, paths)], cwd=ROOT, stdout=subprocess.PIPE,
                          text=True)
    check_result(done.stdout)
    return {case["id"]: case for case in json.loads(done.stdout)["cases"]}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_judged_again(judged, row):
    assert mistake(judged[row["file"]], row["expected"]) == ""


@pytest.mark.parametrize("transformers, peft", PAIRS)
def test_recorder_in_pair(recorder_tests, transformers, peft):
    summary = recorder_tests.get(f"transformers {transformers} x peft {peft}", "did not run")
    assert re.match(r"\d+ passed", summary) and "failed" not in summary and "error" not in summary, summary


SCRIPT = """import os, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

def main():
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[1]), sys.argv[2]).eval()
    print(model.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=2, do_sample=False))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("command", ["{python} script.py", "{python} -u -m script", "./console"])
def test_what_record_writes_is_diagnosed(recorder_tests, tmp_path, command):
    python = ROOT / "build" / "envs" / "tf{}-peft{}".format(*PAIRS[-1]) / "bin" / "python"
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "console").write_text(f"#!{python}\nfrom script import main\nmain()\n")
    weights = [ROOT / "fixtures" / "models" / "qwen2-tiny", ROOT / "fixtures" / "adapters" / "qwen2-tiny-prompt"]
    command = [*command.format(python=python).split(), *map(str, weights)]
    done = subprocess.run([str(PROGRAM), "record", "-o", "run.h5", "--", *command], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0 and "tensor([[" in done.stdout and "next: qconform diagnose run.h5" in done.stderr, done.stderr
    judged = subprocess.run([str(PROGRAM), "diagnose", "--json", "run.h5"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert [case["status"] for case in json.loads(judged.stdout)["cases"]] == ["PASS"]
