"""Suite files: --list and --dry-run, what is selected, and mistakes, each said with its place and what to do."""

import json
import os
import shutil

import jsonschema
import pytest

from conftest import RECORDINGS, ROOT

HEALTHY = "qwen2-prompt-shapes-tf4.44.2-peft0.13.2.h5"
SCHEMAS = {name: jsonschema.Draft202012Validator(json.loads((ROOT / "suites" / f"{name}.schema.json").read_text()))
           for name in ("suite", "baseline")}


def block(name, **more):
    return {"id": name, "requirement": f"What {name} requires.", "source": "https://example.org/x", "recording": "r.h5", **more}


@pytest.fixture
def suite(tmp_path):
    """Writes a suite of these blocks, and gives its folder."""
    shutil.copy(RECORDINGS / HEALTHY, tmp_path / "r.h5")

    def write(*blocks, **top):
        document = {"schema": "qconform-suite/1", "title": "Some cases", "cases": list(blocks), **top}
        (tmp_path / "suite.json").write_text(json.dumps(document))
        return tmp_path
    return write


@pytest.fixture
def known(suite, tmp_path):
    """A suite of three with a baseline that knows a failure of the second."""
    entry = {"id": "a/two", "causes": ["prompt-not-injected"], "first_divergence": {"step": 0, "layer": None, "site": "output"}}
    (tmp_path / "known.json").write_text(json.dumps({"schema": "qconform-baseline/1", "cases": [entry]}))
    return suite(block("a/one", tags=["quick"]), block("a/two", steps="0"), block("b"), baseline="known.json")


def test_list_has_a_line_a_case(qconform, known):
    done = qconform("run", known, "--list")
    assert done.code == 0 and not done.err
    assert done.out.splitlines() == ["a/one  What a/one requires.", "a/two  What a/two requires.", "b      What b requires."]


def test_list_with_more(qconform, known):
    lines = qconform("run", known, "a/two", "--list", "-v").out.splitlines()
    assert lines[0] == "a/two" and "requirement What a/two requires." in lines and "source      https://example.org/x" in lines
    assert "expected    prompt-not-injected at step 0, output" in lines and "only        steps 0" in lines


def test_list_for_programs(qconform, known):
    document = qconform("run", known, "--list", "--json").document
    assert (document["schema"], document["topic"]) == ("qconform-list/1", "suite")
    assert [row["id"] for row in document["rows"]] == ["a/one", "a/two", "b"]
    row = document["rows"][0]
    assert row["tags"] == ["quick"] and row["bytes"] == (RECORDINGS / HEALTHY).stat().st_size and row["problem"] is None
    assert document["rows"][1]["expected"] == "prompt-not-injected at step 0, output"


@pytest.mark.parametrize("arguments, ids", [(["a/*"], ["a/one", "a/two"]), (["--filter", "tag=quick"], ["a/one"]),
                                            (["--filter", "!cause=* !b"], ["a/one"]), (["--shard", "2/2"], ["a/two"]),
                                            (["--filter", "cause=prompt*"], ["a/two"])])
def test_list_is_what_would_run(qconform, known, arguments, ids):
    assert [row["id"] for row in qconform("run", known, "--list", "--json", *arguments).document["rows"]] == ids


def test_dry_run_says_what_would_run(qconform, known):
    done = qconform("run", known, "--dry-run", "--shard", "1/2", "-j", "3")
    said = " ".join(done.out.split())
    assert done.code == 0 and "Some cases, 3 cases" in said and "known.json: 1 known failure" in said
    assert "2 cases of 3 (shard 1 of 2)" in said and "3 at a time" in said
    assert done.out.splitlines()[-3] == "2 cases: 2 to pass, 0 expected to fail, 0 with a problem"
    assert done.out.splitlines()[-1] == f"next   qconform run --shard 1/2 -j 3 {known}"
    whole = qconform("run", known, "--dry-run").out
    assert "1 failure: prompt-not-injected (1)" in whole and "2 to pass, 1 expected to fail" in whole


def test_dry_run_and_list_write_nothing(qconform, known, tmp_path):
    for how in ("--dry-run", "--list"):
        assert qconform("run", known, how, "--out", tmp_path / "out").code == 0
    assert not (tmp_path / "out").exists()


def test_nothing_selected(qconform, known):
    for how in ("--dry-run", "--list"):
        done = qconform("run", known, how, "--filter", "tag=none")
        assert done.code == 4 and "no case is selected" in done.err and "--filter" in done.err


MISTAKES = [
    (block("a", recoding="r.h5"), "cases[1]", '"recoding", which has no meaning here'),
    ({key: value for key, value in block("a", recoding="r.h5").items() if key != "recording"}, "cases[1]", "did you mean recording?"),
    (block("a", recording="q.h5"), "cases[1].recording", "did you mean r.h5?"),
    (block("a b"), "cases[1].id", "does not fit"),
    (block("first"), "cases[1].id", "is that of a case in"),
    (block("a", steps="3-1"), "cases[1].steps", "no range"),
    (block("a", requirement="\x1b[1m<b>bold"), "cases[1].requirement", "U+001B"),
    (["a"], "cases[1]", "a list where an object is due"),
]


@pytest.mark.parametrize("wrong, place, words", MISTAKES)
def test_a_mistake_is_said_with_its_place_and_spoils_no_other_case(qconform, suite, wrong, place, words):
    folder = suite(block("first"), wrong, block("last"))
    done = qconform("run", folder, "--dry-run")
    said = " ".join(done.out.split())
    assert done.code == 3 and f"suite.json: {place}: " in said and words in said and "1 with a problem" in said
    ids = [row["id"] for row in qconform("run", folder, "--list", "--json").document["rows"] if not row["problem"]]
    assert ids == ["first", "last"]


def test_a_run_with_mistakes_judges_the_rest_and_every_format_holds_them(qconform, suite, tmp_path):
    hostile = block("late", recording="\x1b]0;x\x07<script>&.h5")
    (tmp_path / "\x1b]0;x\x07<script>&.suite.json").write_text("{")
    sound = str(RECORDINGS / HEALTHY)  # whose model lies beside it
    folder = suite(block("first", recording=sound), *[wrong for wrong, _, _ in MISTAKES[:-1] if wrong["id"] != "a"], hostile, 7,
                   block("last", recording=sound), baseline="nowhere.json")
    page = tmp_path / "page.html"
    done = qconform("run", folder, "--json", "--out", tmp_path / "out", "--html", page)
    status = {case["id"]: case["status"] for case in done.document["cases"]}
    assert done.code == 5 and status["first"] == status["last"] == "PASS"
    assert sorted(status.values()) == ["ERROR"] * (len(status) - 2) + ["PASS"] * 2 and len(status) == 8
    for case in done.document["cases"]:
        assert case["status"] == "PASS" or (case["error"]["message"] and case["error"]["hint"] and case["error"]["file"])
    assert "<script>&" not in page.read_text() and "\x1b" not in page.read_text()
    shown = qconform("report", tmp_path / "out" / "result.json")
    assert "\x1b" not in shown.out + shown.err and shown.code == 0


@pytest.mark.parametrize("arguments, words", [(["nothing/*"], "fits the id of no case"), (["--filter", "tags=x"], "did you mean tag?"),
                                              (["a/on"], "did you mean a/one?")])
def test_what_cannot_be_meant(qconform, known, arguments, words):
    done = qconform("run", known, *arguments, "--list")
    assert done.code == 3 and not done.out and words in done.err


def test_an_entry_of_a_baseline_that_no_case_has_is_noticed(qconform, known):
    (known / "known.json").write_text(json.dumps({"schema": "qconform-baseline/1",
                                                  "cases": [{"id": "a/tow", "causes": ["unclassified"]}]}))
    done = qconform("run", known, "--dry-run")
    assert done.code == 0 and "a/tow (did you mean a/two?)" in done.err


def test_a_folder_without_suites_says_what_one_is_called(qconform, tmp_path):
    done = qconform("run", tmp_path, "--list")
    assert done.code == 3 and "no suite in the folder" in done.err and "suite.json" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every folder")
def test_a_folder_that_cannot_be_read_is_a_problem(qconform, known):
    (known / "closed").mkdir(mode=0)
    done = qconform("run", known, "--dry-run")
    (known / "closed").chmod(0o700)
    assert done.code == 3 and "closed" in done.out and "1 with a problem" in done.out


# Block, or top of a suite, that the schema takes or refuses: the program and the published schema must agree.
BLOCKS = [{}, {"id": "a/b+c.d_e-f"}, {"id": "a/"}, {"id": ""}, {"id": "x" * 200}, {"id": "x" * 201}, {"id": 7}, {"requirement": "ä" * 2000},
          {"requirement": "ä" * 2001}, {"requirement": ""}, {"requirement": "a\tb"}, {"requirement": "a\u0085b"}, {"source": "\x7f"},
          {"source": None}, {"steps": "0-4"}, {"steps": "-3"}, {"steps": "1234567"}, {"steps": "-"}, {"layers": "2-"}, {"site": "*"},
          {"precision": "auto"}, {"precision": "F32"}, {"timeout": "1.5h"}, {"timeout": "1.5"}, {"timeout": "1,5s"}, {"tags": []},
          {"tags": ["a.b"]}, {"tags": ["a b"]}, {"tags": "a"}, {"tags": [""]}, {"extra": 1}]


@pytest.mark.parametrize("change", BLOCKS, ids=lambda change: ascii(change)[:40])
def test_the_program_takes_what_the_published_schema_takes(qconform, suite, change):
    folder = suite({**block("a"), **change})
    valid = SCHEMAS["suite"].is_valid(json.loads((folder / "suite.json").read_text()))
    assert (qconform("run", folder, "--dry-run", "--json").code == 0) == valid
