"""Ways of calling the real libraries that must come to the same (fixtures/relations.py): each recording is judged by its own
era's rules, and then the ways are held against each other, by the noise floors that were computed for them."""

import json
import subprocess
import sys

import h5py
import numpy
import pytest

from conftest import PROGRAM, ROOT, check_result

sys.path.append(str(ROOT / "fixtures"))
from relations import PAIRS

BY_ADAPTER = ["batch-row-alone", "padded-left", "padded-right", "prefill-stepwise", "cache-no-cache"]
RELATIONS = [(name, adapter) for adapter in ("base", "prompt", "prefix") for name in BY_ADAPTER] + [
    ("soft-prompt-hard-prompt", "base"), ("prefix-captured-prompt", "base"),
    ("projection-folded", "ptuning-mlp"), ("projection-folded", "prefix-projected")]


def counts_padding(relation, adapter, peft):
    """Whether this era is known to number tokens with the padding before them (`padding-counted`): those behind a prompt
    always, those behind a prefix until PEFT 0.19 handed their numbers on."""
    numbers_prefix = [int(part) for part in peft.split(".")] >= [0, 19]
    return relation == "padded-left" and (adapter == "prompt" or adapter == "prefix" and not numbers_prefix)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every pair of recordings, by versions, relation and adapter."""
    done = subprocess.run(["python3", str(ROOT / "fixtures" / "relations.py"), str(tmp_path_factory.mktemp("relations"))],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = map(json.loads, done.stdout.splitlines())
    return {(row["transformers"], row["peft"], row["relation"], row["adapter"]): row for row in rows}


@pytest.fixture(scope="module")
def judged(made):
    """What the program finds in each of them, by its path; and the multiple of the floor that it allows."""
    paths = sorted({file for row in made.values() for file in row["files"]})
    done = subprocess.run([str(PROGRAM), "diagnose", "--json", "-j", "2", *paths], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    check_result(done.stdout)
    document = json.loads(done.stdout)
    return {case["recording"]: case for case in document["cases"]}, document["noise"]["multiple"]


def logits_of(path, row):
    """Logits of one batch row: all of the first step, and the last of each later one."""
    with h5py.File(path) as file:
        steps = sorted(file["steps"], key=int)
        taps = [file["steps"][step]["taps"]["lm_head"][row] for step in steps]
    return numpy.concatenate([taps[0], *(tap[-1:] for tap in taps[1:])]).astype(numpy.float64)


def floor_of(case):
    """The largest noise floor of its logits."""
    sites = [site for site in case["sites"] if site["site"] == "lm_head" and site["ratio"]]
    assert sites
    return max(site["max_abs"] / site["ratio"] for site in sites)


def distance(row, cases):
    """How far two ways lie apart, in noise floors of both."""
    one, other = (logits_of(file, which) for file, which in zip(row["files"], row["rows"]))
    other = other[:len(other) - row["drop"]]
    count = min(len(one), len(other))
    apart = numpy.abs(one[len(one) - count:] - other[len(other) - count:]).max()
    return apart / sum(floor_of(cases[file]) for file in row["files"])


@pytest.mark.parametrize("pair", PAIRS, ids=" x ".join)
def test_each_way_is_judged_by_its_era(made, judged, pair):
    cases, _ = judged
    ways = [row for key, row in made.items() if key[:2] == pair]
    assert len(ways) == len(RELATIONS)
    files = {file for row in ways for file in row["files"]}
    assert {file: cases[file]["verdict"] for file in files if cases[file]["status"] != "PASS"} == {}


@pytest.mark.parametrize("relation, adapter", RELATIONS)
@pytest.mark.parametrize("pair", PAIRS, ids=" x ".join)
def test_ways_agree(made, judged, pair, relation, adapter):
    cases, multiple = judged
    apart = distance(made[*pair, relation, adapter], cases)
    if counts_padding(relation, adapter, pair[1]):
        assert apart > multiple, "an era that counts the padding gives the same as one that does not"
    else:
        assert apart <= multiple
