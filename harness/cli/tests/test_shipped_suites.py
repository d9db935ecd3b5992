"""The suites that are shipped, as files: what each case says, and that the tables of the fixtures and they agree."""

import collections
import json
import re
import shutil

import h5py
import jsonschema
import pytest
from conftest import FOREIGN, RECORDINGS, ROOT, rows
from table import SUITES, baseline_of, mistake, table_rows

FILES = sorted(SUITES.glob("*/suite.json"))
SECTIONS = {line.lstrip("# ").strip() for line in (ROOT / "reference" / "MODEL.md").read_text().splitlines() if line.startswith("#")}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def cases(path):
    """Each case with the recording that it is about."""
    folder = (path.parent / read(path)["recordings"]).resolve()
    return [(case, folder / case["recording"]) for case in read(path)["cases"]]


EVERY = [(path, case, recording) for path in FILES for case, recording in cases(path)]


@pytest.mark.parametrize("kind", ["suite", "baseline"])
def test_every_file_keeps_its_schema(kind):
    check = jsonschema.Draft202012Validator(read(SUITES / f"{kind}.schema.json"))
    paths = sorted(SUITES.glob(f"*/{kind}.json"))
    assert len(paths) == len(FILES) > 0
    assert [(path, error.message) for path in paths for error in check.iter_errors(read(path))] == []


def test_every_shipped_recording_is_a_case():
    shipped, judged = {path for path, _ in rows()}, {recording for *_, recording in EVERY}
    assert shipped == judged and shipped >= {*RECORDINGS.glob("*.h5"), *FOREIGN.glob("*.h5")}


def test_ids_are_unique_and_begin_with_their_suite():
    assert [id for id, count in collections.Counter(case["id"] for _, case, _ in EVERY).items() if count > 1] == []
    assert [case["id"] for path, case, _ in EVERY if not case["id"].startswith(path.parent.name + "/")] == []


def test_a_recording_is_a_case_of_one_suite_and_perhaps_a_remedy():
    counted = collections.Counter(recording for path, _, recording in EVERY if path.parent.name != "remedies")
    assert [recording for recording, count in counted.items() if count > 1] == []


def test_requirements_are_one_sentence_each():
    sentence = re.compile(r"[A-Z](?:[^.!?]|\.(?=[0-9]))+\.")
    assert [case["id"] for _, case, _ in EVERY if not sentence.fullmatch(case["requirement"])] == []


def test_sources_can_be_looked_up():
    def found(source):
        section = source.removeprefix("reference/MODEL.md, ").partition(": ")[0]
        return source.startswith("https://") and " " not in source or section != source and section in SECTIONS
    assert {case["source"] for _, case, _ in EVERY if not found(case["source"])} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_baselines_are_what_the_tables_expect(path):
    assert read(path.parent / "baseline.json") == baseline_of(path, table_rows()), "write them again: make table"


def test_a_recording_without_values_belongs_to_the_structural_gate():
    levels = {path: row["level"] for path, row in rows()}
    gate = {recording for path, _, recording in EVERY if path.parent.name == "structure"}
    assert gate == {path for path, level in levels.items() if level == "shapes"}


def test_remedies_are_those_that_the_causes_name(qconform):
    measured = {one["recording"] for cause in qconform("list", "causes", "--json").document["rows"] for one in cause["measured"]}
    assert measured == {recording.name for path, _, recording in EVERY if path.parent.name == "remedies"}


def test_the_manual_counts_right_and_its_examples_keep_the_schemas():
    text = (SUITES / "README.md").read_text()
    said = {name: (int(count), int(known)) for name, count, known in re.findall(r"^\| \[([a-z0-9-]+)\]\(.*\) \| (\d+) \| (\d+) \|", text, re.M)}
    assert said == {path.parent.name: (len(read(path)["cases"]), len(read(path.parent / "baseline.json")["cases"])) for path in FILES}
    examples = {kind: json.loads(example) for kind in ("suite", "baseline")
                for example in re.findall(r"^```json\n(.*?)^```", text, re.M | re.S) if f"qconform-{kind}/1" in example}
    for kind, example in examples.items():
        jsonschema.Draft202012Validator(read(SUITES / f"{kind}.schema.json")).validate(example)
    assert examples["suite"]["cases"][0]["id"] == examples["baseline"]["cases"][0]["id"]


def test_the_structural_gate_needs_no_virtual_tokens(qconform, tmp_path):
    """What suites/README.md says of /adapter/prompt, done as it says."""
    recipe = re.search(r"^```python\n(.*?)^```", (SUITES / "README.md").read_text(), re.M | re.S).group(1)
    wanted = {path.name: expected for path, expected in rows()}
    alone = [path for path, row in table_rows().items() if row.get("level") == "shapes" and row["weights"] == "none"]
    emptied = 0
    for path in alone:
        shutil.copy(path, tmp_path)
        with h5py.File(tmp_path / path.name) as file:
            known = "prompt" in file.get("adapter", ())
        if known:
            exec(recipe.replace("run.h5", str(tmp_path / path.name)), {"h5py": h5py})
            emptied += 1
    judged = qconform("diagnose", "--json", *(tmp_path / path.name for path in alone)).document["cases"]
    assert emptied > 20 and {case["id"]: mistake(case, wanted[case["id"]]) for case in judged} == {path.name: "" for path in alone}


def test_the_suites_end_well(qconform, tmp_path):
    """Those that are judged in a moment; of the others the same follows from their recordings' verdicts (test_verdicts.py)."""
    quick = [SUITES / name for name in ("foreign", "remedies", "structure")]
    done = qconform("run", *quick, "--out", tmp_path, "-q")
    assert done.code == 0 and {case["status"] for case in read(tmp_path / "result.json")["cases"]} == {"PASS", "XFAIL"}
    planned = qconform("run", "--dry-run", SUITES)
    assert planned.code == 0 and f"{len(EVERY)} cases" in planned.out


def test_what_the_manual_selects_is_there(qconform):
    text = (SUITES / "README.md").read_text()
    filters = re.findall(r"--filter '([^']*)'", text)
    globs = re.findall(r"'([a-z0-9*./-]+/[a-z0-9*./-]+|\*-[a-z0-9.*-]+)'", text)
    assert len(filters) > 2 and len(globs) > 2
    for words in [[glob] for glob in globs] + [["--filter", terms] for terms in filters]:
        done = qconform("run", "--list", "--json", SUITES, *words)
        assert 0 < len(done.document["rows"]) < len(EVERY), words


def test_a_stranger_adds_a_case_by_the_manual(qconform, tmp_path):
    text = (SUITES / "README.md").read_text()
    suite, baseline = re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "suite.json").write_text(suite)
    planned = qconform("run", "--dry-run", tmp_path)
    assert planned.code == 3 and "support-bot.h5" in planned.out + planned.err
    shutil.copy(RECORDINGS / "qwen2.5-prefix-shapes-tf4.44.2-peft0.12.0.h5", tmp_path / "support-bot.h5")
    assert qconform("run", "--dry-run", tmp_path).code == 0
    assert "support-bot/generate" in qconform("run", "--list", tmp_path).out
    assert qconform("run", tmp_path, "--out", tmp_path / "out").code == 1
    (tmp_path / "known.json").write_text(baseline)
    done = qconform("run", tmp_path, "--out", tmp_path / "out", "--baseline", tmp_path / "known.json")
    assert done.code == 0 and "XFAIL" in done.out
