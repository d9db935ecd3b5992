"""Shards of a run joined again: the result of the run in one piece, or a word on what is not there and why."""

import copy
import json
import random
import signal
import subprocess
import xml.etree.ElementTree

import pytest
from conftest import PROGRAM, RECORDINGS, ROOT
from same import judged, parting

FAILING = {"qwen2-prompt-shapes-tf4.44.2-peft0.12.0": "prompt-not-injected",
           "qwen2-prompt-tf4.42.4-peft0.11.1": "empty-cache-indexed",
           "qwen3-prefix-shapes-tf4.57.1-peft0.17.1": "prefix-head-size",
           "qwen1.5-prefix-shapes-tf4.42.4-peft0.13.2": "legacy-tuple-cache"}
NAMES = [*FAILING, "qwen2.5-prompt-no-cache-shapes-tf4.46.3-peft0.14.0"]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A suite of these recordings and one that is not there, and a baseline that knows the failures."""
    folder = tmp_path_factory.mktemp("merge")
    cases = [{"id": f"case/{name}", "requirement": "It conforms.", "source": "here", "recording": f"{name}.h5"}
             for name in [*NAMES, "missing"]]
    (folder / "suite.json").write_text(json.dumps({"schema": "qconform-suite/1", "title": "small", "baseline": "baseline.json",
                                                   "recordings": str(RECORDINGS), "cases": cases}))
    (folder / "baseline.json").write_text(json.dumps({"schema": "qconform-baseline/1", "cases": [
        {"id": f"case/{name}", "causes": [cause]} for name, cause in FAILING.items()]}))
    return folder / "suite.json"


@pytest.fixture(scope="module")
def whole(qconform, suite):
    """The run in one piece: its document, and the exit status."""
    done = qconform("run", suite, "--out", suite.parent / "whole", "-q")
    return json.loads((suite.parent / "whole" / "result.json").read_text()), done.code


@pytest.fixture(scope="module")
def shards(qconform, suite, whole):
    """The folder of the run in so many parts, from the one with the highest number on."""
    made = {}

    def run(count):
        if count not in made:
            made[count] = suite.parent / f"in-{count}"
            for shard in range(count, 0, -1):
                qconform("run", suite, "--shard", f"{shard}/{count}", "--out", made[count], "-q")
        return made[count]
    return run


def results(folder):
    return sorted(folder.glob("shard-*/result.json"))


def parts_of(a, b):
    return parting(judged(a), judged(b))


def write(path, document):
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_shards_give_the_result_of_the_run_in_one_piece(qconform, shards, whole, count):
    done = qconform("merge", shards(count), "--json")
    assert parts_of(done.document, whole[0]) is None
    assert (done.code, done.err) == (whole[1], "")


def test_order_and_repetition_change_nothing(qconform, shards, whole):
    files = results(shards(4))
    for seed in range(3):
        mixed = files + files[:2]
        random.Random(seed).shuffle(mixed)
        assert parts_of(qconform("merge", "--json", *mixed).document, whole[0]) is None


def test_what_was_joined_takes_a_late_shard(qconform, shards, whole, tmp_path):
    first, late, *others = results(shards(4))
    early = qconform("merge", first, *others, "-o", tmp_path / "early.json")
    assert early.code == 5 and "missing of 4 shards: 2" in early.err
    assert early.out.endswith("next   run that shard (qconform run ... --shard 2/4 --resume), and merge again\n")
    again = qconform("merge", tmp_path / "early.json", "--json").document
    assert parts_of(again, json.loads((tmp_path / "early.json").read_text())) is None
    done = qconform("merge", late, tmp_path / "early.json", "--json")
    assert parts_of(done.document, whole[0]) is None and done.code == whole[1]


def test_a_shard_that_has_not_ended_is_named_and_its_cases_are_not_run(qconform, shards, whole, tmp_path):
    for path in results(shards(4)):
        (tmp_path / path.parent.name).mkdir()
        if "3-of-4" not in path.parent.name:
            (tmp_path / path.parent.name / "result.json").write_bytes(path.read_bytes())
    done = qconform("merge", tmp_path, "--json", "--junit", tmp_path / "junit.xml", "--html", tmp_path / "page.html")
    assert f"{tmp_path}/shard-3-of-4 has no result.json" in done.err and "1 of 6 cases are NOTRUN" in done.err
    ids = whole[0]["run"]["cases"]
    assert [case["id"] for case in done.document["cases"]] == ids
    lost = [case for case in done.document["cases"] if case["status"] == "NOTRUN"]
    assert [case["id"] for case in lost] == ids[2::4] and "--shard 3/4 --resume" in lost[0]["verdict"]
    assert len(xml.etree.ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")) == 6
    assert done.code == 5 and "shard 3 of 4 is not among the results" in (tmp_path / "page.html").read_text()


def test_an_artifact_in_a_folder_of_its_own_is_found(qconform, shards, whole, tmp_path):
    for path in results(shards(2)):
        folder = tmp_path / f"artifact of {path.parent.name}" / path.parent.name
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(path.read_bytes())
    assert parts_of(qconform("merge", tmp_path, "--json").document, whole[0]) is None


def test_a_shard_that_was_interrupted_and_resumed_is_joined(qconform, suite, whole, tmp_path):
    command = [PROGRAM, "run", suite, "--shard", "1/2", "--out", tmp_path, "-q", "-j1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "shard-1-of-2" / "journal.jsonl").exists():
        pass
    process.send_signal(signal.SIGTERM)
    process.wait()
    qconform("run", suite, "--shard", "2/2", "--out", tmp_path, "-q")
    first = qconform("merge", tmp_path, "-o", tmp_path / "early.json", "-q")
    qconform("run", suite, "--shard", "1/2", "--resume", "--out", tmp_path, "-q")
    assert first.code in (5, whole[1])
    assert parts_of(qconform("merge", tmp_path, tmp_path / "early.json", "--json").document, whole[0]) is None


# ---- what does not fit together ----

def changed(path, folder, change):
    document = json.loads(path.read_text())
    change(document)
    return write(folder / "odd.json", document)


BAD = {
    "a newer schema": (lambda d: d.update(schema="qconform-result/2"), "schema: is qconform-result/2"),
    "another version": (lambda d: d["tool"].update(version="7.0"), "tool.version: was written by version 7.0 of the program"),
    "another bound": (lambda d: d["noise"].update(multiple=9), "noise.multiple: was judged with a bound of 9 times the noise floor"),
    "another digest": (lambda d: d["run"].update(digest="0" * 64), "is of another run of these suites than"),
    "other suites": (lambda d: d["run"].update(digest="0" * 64, suites=[]), "is of a run of other suites than"),
    "another baseline": (lambda d: d["run"]["baselines"].clear(), "was held against another baseline than"),
    "no run": (lambda d: d.pop("run"), "is of no run of suites"),
    "a case of another shard": (lambda d: d["cases"][0].update(id="x\x1b[2J"), "has the case \"x\\x1b[2J\", which is none of"),
    "another recording": (lambda d: d["cases"][0].update(recording_sha256="0" * 64), "was judged on another recording"),
    "no shard": (lambda d: d["run"]["shard"].update(index=5, count=4), "run.shard: is a part that no run has"),
    "a huge shard": (lambda d: d["run"]["shard"].update(count=2**32), "run.shard: is a part that no run has"),
}


@pytest.mark.parametrize("name", BAD)
def test_parts_that_do_not_fit_are_refused_by_name(qconform, shards, tmp_path, name):
    change, words = BAD[name]
    files = results(shards(2))
    odd = changed(files[1], tmp_path, change)
    done = qconform("merge", *files, odd, "-o", tmp_path / "joined.json")
    assert done.code == 3 and done.err.startswith(f"qconform: {odd}: ") and words in done.err
    assert done.out == "" and not (tmp_path / "joined.json").exists()


def test_a_part_that_was_cut_short_is_refused(qconform, shards, tmp_path):
    files = results(shards(2))
    whole_bytes = files[1].read_bytes()
    for size in [0, 1, *range(200, len(whole_bytes) - 2, len(whole_bytes) // 12), len(whole_bytes) - 2]:
        (tmp_path / "cut.json").write_bytes(whole_bytes[:size])
        done = qconform("merge", files[0], tmp_path / "cut.json", "-o", tmp_path / "joined.json")
        assert done.code == 3 and f"{tmp_path}/cut.json" in done.err and not (tmp_path / "joined.json").exists(), size


@pytest.mark.parametrize("make,words", [(lambda path: path.write_text("[]"), "not a result of schema"),
                                        (lambda path: path.mkdir(), "holds neither result.json nor folders shard-I-of-N"),
                                        (lambda path: None, "No such file"),
                                        (lambda path: (path / "shard-1-of-2").mkdir(parents=True), "no shard has ended")])
def test_what_is_no_result_is_refused(qconform, tmp_path, make, words):
    make(tmp_path / "odd")
    done = qconform("merge", tmp_path / "odd")
    assert done.code == 3 and f"{tmp_path}/odd" in done.err and words in done.err


# ---- results that two machines give of one case ----

def test_of_two_results_the_decided_and_the_worse_is_kept(qconform, shards, tmp_path):
    files = results(shards(2))
    better = json.loads(files[0].read_text())
    lost = copy.deepcopy(better)
    kept = better["cases"][0]["status"]
    for document, status in ((better, "PASS"), (lost, "CRASH")):
        document["cases"][0].update(status=status, cause=None, causes=[], first_divergence=None)
    odd = [write(tmp_path / "better.json", better), write(tmp_path / "lost.json", lost)]
    there = qconform("merge", "--json", *files, *odd).document
    assert parts_of(there, qconform("merge", "--json", *odd, *files).document) is None
    assert there["cases"][0]["status"] == kept == "XFAIL"
    assert [f["message"] for f in there["cases"][0]["findings"] if f["id"] == "results-disagree"] == \
        ["another result of this case says PASS; the worse one is kept"]


def test_results_of_diagnose_are_joined_one_after_the_other(qconform, tmp_path):
    paths = [RECORDINGS / f"{name}.h5" for name in NAMES[:3]]
    for path in paths:
        qconform("diagnose", path, "-q", "--json-out", tmp_path / f"{path.stem}.json")
    files = [tmp_path / f"{path.stem}.json" for path in paths]
    together = qconform("diagnose", *paths, "--json")
    joined = qconform("merge", "--json", *files, files[0])
    assert parts_of(joined.document, together.document) is None and joined.code == together.code == 1


# ---- where it goes ----

def test_the_joined_result_goes_where_it_is_asked_to(qconform, shards, tmp_path):
    folder = shards(2)
    shown = qconform("merge", folder)
    assert "-o FILE.json writes it" in shown.err and "5 judged" in shown.out
    assert parts_of(qconform("merge", folder, "-o", "-").document, qconform("merge", folder, "--json").document) is None
    into = qconform("merge", folder, "-o", tmp_path, "--html", tmp_path / "page.html")
    assert into.err == "" and f"wrote  {tmp_path}/result.json" in into.out and (tmp_path / "page.html").exists()
    assert qconform("report", tmp_path / "result.json").code == 0
    assert qconform("merge", folder, "-o", tmp_path / "none" / "r.json").code == 74
    assert qconform("merge", folder, "-o", tmp_path / "r.odd").code == 2
    assert qconform("merge").code == 2
