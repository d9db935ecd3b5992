"""Verbs, options, outputs and exit statuses, as a script relies on them."""

import json
import re
import subprocess

import jsonschema
import pytest

from conftest import PROGRAM, RECORDINGS, ROOT, rows

BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"


def test_result_keeps_its_contract(qconform, tmp_path):
    (tmp_path / "bad.h5").write_text("x")
    schema = json.loads((ROOT / "reports" / "result.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = qconform("diagnose", "--json", *[path for path, _ in rows()], tmp_path / "bad.h5").document
    jsonschema.Draft202012Validator(schema).validate(document)
    assert sum(document["summary"].values()) == len(document["cases"])
    for case in document["cases"]:
        coverage = case["coverage"]
        assert coverage["expected"] == coverage["compared"] + coverage["missing"] + coverage["waived"]
        assert (case["cause"] is None) == (case["status"] != "FAIL")
        assert [cause["id"] for cause in case["causes"][:1]] == ([case["cause"]["id"]] if case["cause"] else [])


def test_schema_can_fail(qconform):
    schema = json.loads((ROOT / "reports" / "result.schema.json").read_text())
    document = qconform("diagnose", "--json", BAD).document
    document["cases"][0]["first_divergence"]["kind"] = "odd"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(document)


def test_result_can_be_rendered_again(qconform, tmp_path):
    first, second, result = tmp_path / "1.html", tmp_path / "2.html", tmp_path / "r.json"
    done = qconform("diagnose", BAD, "--html", first, "--json-out", result, SOURCE_DATE_EPOCH="0")
    again = qconform("report", result, "--html", second)
    assert again.code == 0 and first.read_bytes() == second.read_bytes()
    assert str(first) in done.out and str(result) in done.out
    assert qconform("report", result, "-o", tmp_path / "3.html").code == 0
    assert (tmp_path / "3.html").read_bytes() == first.read_bytes()
    assert qconform("report", result, "--json").document == json.loads(result.read_text())


def test_report_refuses_what_is_no_result(qconform, tmp_path):
    (tmp_path / "odd.json").write_text('{"schema": "other"}')
    done = qconform("report", tmp_path / "odd.json")
    assert done.code == 3 and "odd.json" in done.err
    (tmp_path / "broken.json").write_text('{"schema": ')
    assert qconform("report", tmp_path / "broken.json").code == 3
    assert qconform("report", tmp_path / "absent.json").code == 3


def test_last_lines(qconform, tmp_path):
    lines = qconform("diagnose", BAD, "--json-out", tmp_path / "r.json").out.strip().splitlines()
    assert lines[-1].startswith("next") and lines[-2].startswith("wrote") and "The trained prompt never reached" in lines[-3]
    assert "1 FAIL" in lines[-4]
    quiet = qconform("diagnose", "-q", BAD).out.strip().splitlines()
    assert len(quiet) <= 4


def test_table_of_several(qconform):
    done = qconform("diagnose", *[path for path, _ in rows()])
    for path, expected in rows():
        head, tail = path.name[:20], path.name[-34:]  # of a long name the middle is left out
        line = next(line for line in done.out.splitlines() if path.name in line or (head in line and f"{tail} " in line))
        assert expected["status"] in line and (expected["cause"] or "") in line


def test_ratio_and_bound_are_printed(qconform):
    out = re.sub(r"\s+", " ", qconform("diagnose", HEALTHY).out)
    assert re.search(r"up to \d+ times the noise floor; the largest seen is \d", out)


@pytest.mark.parametrize("arguments", [
    ["diagnose"], ["diagnose", "--nope", "x.h5"], ["diagnose", "-j", "0", "x.h5"], ["diagnose", "-j", "two", "x.h5"],
    ["diagnose", "--color", "blue", "x.h5"], ["diagnose", "--html"], ["inspect"], ["inspect", "a.h5", "b.h5"], ["report"],
    ["report", "r.json", "-o", "r.odd"], ["version", "--html", "x"], ["fly"], []])
def test_wrong_use(qconform, arguments):
    done = qconform(*arguments)
    assert done.code == 2 and (done.err.startswith("qconform: ") or not arguments)


def test_help_names_every_verb(qconform):
    out = qconform("help").out
    for verb in ("diagnose", "inspect", "report", "doctor", "version", "help"):
        assert re.search(rf"^  {verb} ", out, re.M)
        told = qconform("help", verb)
        assert told.code == 0
        for flag in ("--help", "-h"):
            assert qconform(verb, flag).out == told.out, (verb, flag)
    assert qconform("--help").out == out


def test_version(qconform):
    assert re.fullmatch(r"qconform \d+\.\d+\.\d+\n", qconform("version").out)
    assert qconform("version", "--json").document["result_schema"] == "qconform-result/1"
    assert qconform("--version").out == qconform("version").out


def test_doctor(qconform):
    done = qconform("doctor")
    assert done.code == 0 and "arithmetic" in done.out and "BLAS" in done.out and "gnuplot" in done.out
    checks = {check["name"]: check for check in qconform("doctor", "--json").document["checks"]}
    assert checks["worker process"]["status"] == checks["arithmetic"]["status"] == "ok"
    missing = qconform("doctor", "--json", PATH="/nonexistent").document["checks"]
    assert all(check["advice"] for check in missing if check["status"] != "ok")


def test_inspect(qconform, tmp_path):
    done = qconform("inspect", BAD)
    assert done.code == 0 and "DynamicCache" in done.out and "step 4" in done.out and "diagnose judges it" in done.out
    document = qconform("inspect", "--json", BAD).document
    assert document["schema"] == "qconform-inspect/1" and len(document["steps"]) == 5
    assert {"name": "input_ids", "dtype": "int64", "shape": [1, 7], "data": True} in document["steps"][0]["received"]
    (tmp_path / "odd.h5").write_text("x")
    assert qconform("inspect", tmp_path / "odd.h5").code == 3
    raised = qconform("inspect", RECORDINGS / "qwen2-prompt-tf4.42.4-peft0.11.1.h5")
    assert raised.code == 0 and "KeyError" in raised.out


def test_outputs_that_cannot_be_written(qconform, tmp_path):
    done = qconform("diagnose", HEALTHY, "--html", tmp_path / "no" / "folder.html")
    assert done.code == 74 and "folder.html" in done.err
    done = qconform("diagnose", HEALTHY, "--json-out", "/dev/full")
    assert done.code == 74 and "/dev/full" in done.err
    assert list(tmp_path.iterdir()) == []


def test_full_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(PROGRAM), "diagnose", str(HEALTHY)], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74


def test_colour_only_on_request(qconform):
    assert "\x1b[" not in qconform("diagnose", BAD).out
    assert "\x1b[" in qconform("diagnose", "--color", "always", BAD).out
    assert "\x1b[" not in qconform("diagnose", "--color", "never", BAD).out


def test_progress_goes_to_stderr(qconform):
    done = qconform("diagnose", "--json", "--progress", "plain", HEALTHY, BAD)
    assert done.err.count("\n") == 2 and "2/2" in done.err and done.document


def test_plots_are_optional(qconform, tmp_path):
    page = tmp_path / "r.html"
    done = qconform("diagnose", BAD, "--html", page, PATH="/nonexistent")
    assert done.code == 1 and "gnuplot not found" in page.read_text() and 'role="img"' not in page.read_text()


def test_hostile_text_is_shown_not_sent(qconform, damaged):
    def change(file):
        file["/environment"].attrs["platform"] = "\x1b]0;owned\x07<script>alert(1)</script>"
    path = damaged(BAD, change)
    for arguments in (["diagnose", "-v", path], ["inspect", path]):
        out = qconform(*arguments).out
        assert "\x1b" not in out and "\\x1b" in out
    page = path.with_suffix(".html")
    qconform("diagnose", path, "--html", page)
    assert "<script" not in page.read_text()


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "C"])
def test_numbers_do_not_follow_the_locale(qconform, locale):
    assert qconform("diagnose", "--json", BAD, LC_ALL=locale).document["noise"]["multiple"] == qconform("version", "--json").document["noise_multiple"] > 1
