"""list, explain, help, completion and the environment: everything comes from the program's tables."""

import json
import re
import shutil
import subprocess

import pytest

from conftest import PROGRAM, RECORDINGS, ROOT, rows

HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
CAUSES = ["prompt-not-injected", "prefix-query-heads", "empty-cache-indexed"]
TOPICS = ["causes", "cases", "sites", "kinds", "statuses", "exits", "formats", "verbs", "variables"]
VERBS = ["run", "merge", "diagnose", "compare", "inspect", "selftest", "report", "record", "list", "explain", "doctor", "completion",
         "version", "help"]


@pytest.mark.parametrize("topic", TOPICS)
def test_list_prints_the_rows_of_its_document(qconform, topic):
    text, done = qconform("list", topic), qconform("list", topic, "--json")
    assert text.code == done.code == 0 and done.err == ""
    assert (done.document["schema"], done.document["topic"]) == ("qconform-list/1", topic)
    assert [line.split()[0] for line in text.out.splitlines()] == [row["id"] for row in done.document["rows"]]
    assert all(row["title"] for row in done.document["rows"])


def test_lists_hold_what_the_program_knows(qconform):
    ids = {topic: [row["id"] for row in qconform("list", topic, "--json").document["rows"]] for topic in TOPICS}
    assert set(CAUSES) <= set(ids["causes"]) and set(VERBS) <= set(ids["verbs"]) and {"json", "html"} <= set(ids["formats"])
    assert {"self_attn.q_proj", "cache_before.key", "received.inputs_embeds"} <= set(ids["sites"])
    assert {"0", "1", "2", "3", "4", "5", "6", "70", "74", "130", "143"} <= set(ids["exits"]) and {"PASS", "FAIL", "SKIP"} <= set(ids["statuses"])


def test_cases_are_the_shipped_recordings_with_their_verdicts(qconform):
    listed = {row["id"]: (row["status"], row["cause"]) for row in qconform("list", "cases", "--json").document["rows"]}
    assert listed == {path.name: (expected["status"], expected["cause"]) for path, expected in rows()}


def test_cases_elsewhere_and_nowhere(qconform, tmp_path):
    shutil.copy(ROOT / "fixtures" / "recordings.json", tmp_path)
    done = qconform("list", "cases", "--json", QCONFORM_FIXTURES=str(tmp_path))
    assert done.code == 0 and done.document["rows"][0]["file"].startswith(str(tmp_path))
    none = qconform("list", "cases", QCONFORM_FIXTURES="/nonexistent")
    assert none.code == 4 and "/nonexistent/recordings.json" in none.err and "QCONFORM_FIXTURES" in none.err
    assert qconform("list", "cases", "--json", QCONFORM_FIXTURES="/nonexistent").document["rows"] == []


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_is_explained_in_words(qconform, cause):
    text, done = qconform("explain", cause), qconform("explain", cause, "--json")
    row = done.document
    assert text.code == done.code == 0 and (row["schema"], row["kind"], row["id"]) == ("qconform-explain/1", "cause", cause)
    assert row["mechanism"] and row["remedy"] and row["look_for"] and row["upstream"][0].startswith("https://")
    assert all(known["fixed_in"].startswith("peft ") and known["text"] for known in row["known_bad"]) and row["known_bad"]
    assert not re.search(r"[{}]", text.out), "placeholders are put in words"
    for recording in row["recordings"]:
        assert qconform("diagnose", "--json", recording).case["cause"]["id"] == cause
    assert row["recordings"] and row["upstream"][0] in text.out


def test_every_cause_is_explained(qconform):
    for row in qconform("list", "causes", "--json").document["rows"]:
        out = qconform("explain", row["id"]).out
        assert row["mechanism"] and row["remedy"] and not re.search(r"[{}]", out)
        assert all(known["fixed_in"] or "no release" in known["text"] for known in row["known_bad"])
        assert all(" ".join(one["text"].split()) in " ".join(out.split()) for one in row["measured"] + row["signature"])


def test_remedies_have_the_verdict_of_their_recording(qconform):
    verdicts = {path.name: (expected["status"], expected["cause"]) for path, expected in rows()}
    causes = qconform("list", "causes", "--json").document["rows"]
    measured = {(cause["id"], one["recording"]): (one["status"], one["cause"]) for cause in causes for one in cause["measured"]}
    assert {cause for cause, _ in measured} == {"prompt-not-injected", "prefix-layout-transposed", "legacy-tuple-cache"}
    assert measured == {key: verdicts.get(key[1]) for key in measured}


def test_a_cause_without_fixtures_names_no_recording(qconform):
    done = qconform("explain", "--json", CAUSES[0], QCONFORM_FIXTURES="/nonexistent")
    assert done.code == 0 and done.document["recordings"] == []


@pytest.mark.parametrize("name, kind, words", [
    ("self_attn.q_proj", "site", "query heads x head size"), ("html", "format", "--html"), ("4", "exit code", "nothing"),
    ("bad-input", "exit code", "could not be read"), ("SKIP", "status", "covered"), ("cache-length", "kind", "cache"),
    ("compare", "verb", "another"), ("QCONFORM_LOG", "variable", "quiet"), (HEALTHY.name, "case", "PASS")])
def test_everything_that_is_listed_can_be_explained(qconform, name, kind, words):
    assert qconform("explain", name, "--json").document["kind"] == kind and words in qconform("explain", name).out


@pytest.mark.parametrize("arguments, nearest", [
    (["diagnos"], "diagnose"), (["compar"], "compare"), (["help", "reprot"], "report"), (["diagnose", "--modle", "x"], "--model"),
    (["compare", "--flor"], "--floor"), (["list", "cause"], "causes"), (["explain", "promt-not-injected"], "prompt-not-injected"),
    (["explain", "self_attn.qproj"], "self_attn.q_proj")])
def test_the_nearest_name_is_suggested(qconform, arguments, nearest):
    done = qconform(*arguments)
    assert done.code == 2 and f"(did you mean {nearest}?)" in done.err and done.out == ""


@pytest.mark.parametrize("arguments", [["frobnicate"], ["explain", "frobnicate"], ["list", "frobnicate"], ["diagnose", "--frobnicate"]])
def test_nothing_is_suggested_for_what_is_like_nothing(qconform, arguments):
    done = qconform(*arguments)
    assert done.code == 2 and "did you mean" not in done.err and "see qconform" in done.err


@pytest.mark.parametrize("arguments", [["list"], ["list", "causes", "sites"], ["explain"], ["explain", "a", "b"], ["completion"],
                                       ["completion", "powershell"]])
def test_wrong_use(qconform, arguments):
    assert qconform(*arguments).code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_its_options_and_examples(qconform, verb):
    done = qconform("help", verb)
    assert done.code == 0 and f"qconform {verb}" in done.out and "examples:\n  " in done.out and "--quiet" in done.out
    assert ("--html" in done.out) == (verb in ("run", "merge", "diagnose", "compare", "report"))
    assert ("--layers" in done.out) == (verb in ("diagnose", "compare"))


# ---- environment ----

def test_environment_is_printed_by_help_and_doctor(qconform):
    for out in (qconform("help", "environment").out, qconform("doctor", QCONFORM_LOG="debug").out):
        assert all(name in out for name in ("QCONFORM_LOG", "QCONFORM_THREADS", "QCONFORM_FIXTURES"))
    variables = {row["id"]: row["value"] for row in qconform("doctor", "--json", QCONFORM_LOG="debug").document["environment"]}
    assert variables["QCONFORM_LOG"] == "debug" and variables["QCONFORM_THREADS"] is None


def test_a_flag_wins_over_the_environment(qconform):
    quiet, loud = qconform("diagnose", HEALTHY, QCONFORM_LOG="quiet").out, qconform("diagnose", HEALTHY).out
    assert len(quiet.splitlines()) <= 4 < len(loud.splitlines())
    assert qconform("diagnose", "-q", HEALTHY, QCONFORM_LOG="debug").out == quiet
    assert qconform("diagnose", "-v", HEALTHY).out == qconform("diagnose", HEALTHY, QCONFORM_LOG="debug").out
    assert qconform("diagnose", HEALTHY, QCONFORM_LOG="info").out == loud
    threads = lambda *flags: qconform("diagnose", "--json", *flags, HEALTHY, QCONFORM_THREADS="3").document["tool"]["threads"]
    assert threads() == 3 and threads("-j", "2") == 2


@pytest.mark.parametrize("name, value", [("QCONFORM_LOG", "loud"), ("QCONFORM_LOG", ""), ("QCONFORM_THREADS", "0"),
                                         ("QCONFORM_THREADS", "two"), ("QCONFORM_FIXTURES", "")])
def test_a_bad_value_is_wrong_use(qconform, name, value):
    done = qconform("diagnose", HEALTHY, **{name: value})
    assert done.code == 2 and name in done.err and done.out == ""


def test_an_unknown_variable_is_warned_of(qconform):
    done = qconform("diagnose", "--json", HEALTHY, QCONFORM_THREAD="2")
    assert done.code == 0 and "QCONFORM_THREAD is not known" in done.err and "did you mean QCONFORM_THREADS?" in done.err
    assert done.document, "the warning is on stderr alone"


# ---- completion ----

def complete(*words):
    """What bash would offer for the last word."""
    line = " ".join(f"'{word}'" for word in ("qconform", *words))
    script = f'source <({PROGRAM} completion bash); COMP_WORDS=({line}); COMP_CWORD={len(words)}; _qconform; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


@pytest.mark.parametrize("words, offered", [
    (["com"], ["compare", "completion"]), (["diagnose", "--ste"], ["--steps"]), (["diagnose", "--precision", "f"], ["f32", "f64"]),
    (["explain", "prefix-q"], ["prefix-query-heads"]), (["list", "ca"], ["causes", "cases"]), (["help", "env"], ["environment"]),
    (["inspect", "--html"], []), (["completion", ""], ["bash", "zsh", "fish"])])
def test_bash_completes_from_the_tables(words, offered):
    assert complete(*words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_parse_and_name_every_verb(qconform, shell, tmp_path):
    done = qconform("completion", shell)
    assert done.code == 0 and all(verb in done.out for verb in VERBS) and "prompt-not-injected" in done.out
    if shutil.which(shell):
        (tmp_path / "script").write_text(done.out)
        assert subprocess.run([shell, "-n", str(tmp_path / "script")]).returncode == 0


def test_documents_are_stable(qconform):
    for arguments in (["list", "sites", "--json"], ["explain", CAUSES[0], "--json"], ["completion", "fish"]):
        assert qconform(*arguments).out == qconform(*arguments).out
    json.loads(qconform("explain", CAUSES[0], "--json").out)
