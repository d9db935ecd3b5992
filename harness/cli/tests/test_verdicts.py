"""The shipped recordings get the verdicts that they must get, and damage is found where it was done."""

import json
import math

import numpy as np
import pytest

from conftest import FOREIGN, RECORDINGS, rows
from table import mistake, must_get

HEALTHY_PREFIX = "qwen2-prefix-tf4.46.3-peft0.14.0.h5"
HEALTHY_PROMPT = "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
BAD = "qwen2-prompt-tf4.44.2-peft0.12.0.h5"


def is_uncured(qconform, case):
    """Whether the catalogue knows versions of this cause for which no release of the other library is a cure."""
    return any(not row["fixed_in"] for row in qconform("explain", case["cause"]["id"], "--json").document["known_bad"])


@pytest.mark.parametrize("path, expected", rows(), ids=lambda value: getattr(value, "name", ""))
def test_shipped_recording(qconform, path, expected):
    done = qconform("diagnose", "--json", path)
    case, multiple = done.case, done.document["noise"]["multiple"]
    assert mistake(case, expected) == ""
    assert done.code == (0 if expected["status"] == "PASS" else 1)
    if expected["status"] == "PASS":
        assert case["first_divergence"] is None and case["coverage"]["missing"] == 0
        coverage = case["coverage"]
        assert coverage["compared"] == coverage["expected"] - coverage["waived"] > (20 if expected["level"] == "blocks" else 30)
        assert ("values" in coverage["blind"]) == (expected["level"] in ("shapes", "stats"))
        if expected["level"] != "shapes":
            assert 0 < case["largest_ratio"]["ratio"] <= multiple
        assert {site["status"] for site in case["sites"]} <= {"conforms", "waived" if coverage["waived"] else "conforms"}
    else:
        explained = case["cause"]["explained"]
        assert explained == 0 if expected["cause"] == "unclassified" else explained >= 0.99
        assert expected["patched"] or not expected["source"] or case["cause"]["upstream"]
        # What a model's own code does wrong, or a loop by hand, no release cures; of other versions the catalogue says so.
        assert expected["patched"] or "/huggingface/" not in expected["source"] or case["cause"]["fixed_in"] or is_uncured(qconform, case)


def test_every_shipped_recording_stands_in_the_readme_with_the_verdict_that_it_must_get():
    """`make table` writes that table; here it is held against the tables that say what must be found."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (FOREIGN.parent / "README.md").read_text().splitlines()
             if line.startswith(("| `recordings/", "| `foreign/")) and ".h5" in line.split("|")[1]]
    written = {cells[0].strip("`"): (cells[2], cells[3]) for cells in lines}
    must = {f"{path.parent.name}/{path.name}": must_get(expected) for path, expected in rows()}
    assert written == {name: (verdict, verdict) for name, verdict in must.items()}


@pytest.mark.parametrize("case, wrong", [
    ({}, ""), ({"status": "PASS", "causes": []}, "must get FAIL `a` + `b`, got PASS"),
    ({"causes": [{"id": "a"}]}, "must get FAIL `a` + `b`, got FAIL `a`"),
    ({"first_divergence": {"step": 0, "layer": 1, "site": "output"}}, "must differ first at"),
    ({"consequence": {"says": "cannot change a token"}}, "its consequence must be none"),
    ({"consequence": None}, "its consequence must be none, is None"),
], ids=["right", "passed", "one is missing", "elsewhere", "of consequence", "without words"])
def test_the_table_says_how_a_case_is_not_what_its_row_asks_for(case, wrong):
    place = {"step": 0, "layer": 0, "site": "output"}
    expected = {"status": "FAIL", "cause": "a", "causes": ["a", "b"], "first_divergence": place, "consequence": "none"}
    right = {"status": "FAIL", "causes": [{"id": "a"}, {"id": "b"}], "first_divergence": {**place, "kind": "value"},
             "consequence": {"says": "none"}}
    said = mistake({**right, **case}, expected)
    assert said.startswith(wrong) and bool(said) == bool(wrong)


@pytest.mark.parametrize("path", [RECORDINGS / BAD, FOREIGN / "qwen2-prompt-not-injected.h5"], ids=lambda path: path.name)
def test_the_case_that_started_it(qconform, path):
    document = qconform("diagnose", "--json", path).document
    case = document["cases"][0]
    first, cause = case["first_divergence"], case["cause"]
    assert (first["site"], first["kind"], first["step"]) == ("received.inputs_embeds", "missing", 0)
    assert cause["confidence"] == "high" and cause["against"] == [] and cause["runner_up"]["explained"] < 0.8
    assert "DynamicCache" in case["verdict"]
    assert cause["upstream"][0] == "https://github.com/QwenLM/Qwen3/issues/882"
    assert cause["fixed_in"] == "peft 0.13.0" and "0.13.0" in case["verdict"]
    parties = {party["name"]: party["status"] for party in case["parties"]}
    assert parties == {"protocol": "at fault", "model": "consequence", "cache": "consequence"}
    isolated = [site["ratio_isolated"] for site in case["sites"] if isinstance(site["ratio_isolated"], float)]
    assert isolated and max(isolated) <= document["noise"]["multiple"], "the model is acquitted on what it was given"
    assert case["consequence"]["first_token_flip"] == 0


def test_a_raise_before_the_model_is_the_protocols(qconform):
    case = qconform("diagnose", "--json", RECORDINGS / "qwen2-prompt-tf4.42.4-peft0.11.1.h5").case
    assert case["first_divergence"]["site"] == "call" and case["first_divergence"]["step"] is None
    assert case["first_divergence"]["kind"] == "raised" and case["cause"]["confidence"] == "medium"
    parties = {party["name"]: party["status"] for party in case["parties"]}
    assert parties == {"protocol": "at fault", "model": "not judged", "cache": "not judged"}


def test_report_of_the_case_that_started_it(qconform, tmp_path):
    page = tmp_path / "report.html"
    done = qconform("diagnose", RECORDINGS / BAD, "--html", page)
    html = page.read_text()
    assert "https://github.com/QwenLM/Qwen3/issues/882" in html and "0.13.0" in html and "DynamicCache" in html
    assert html.count("<svg") >= 2 and "<script" not in html and 'src="http' not in html
    assert "Qwen3/issues/882" in done.out and done.code == 1


def element(name, tensor):
    """A recording with the largest element of one tensor changed by one part in a thousand."""
    def change(file):
        data = file[tensor]
        values = data[()]
        values.flat[np.argmax(np.abs(values))] *= 1.001
        data[...] = values
    return name, change


@pytest.mark.parametrize("tensor, site, step, layer", [
    ("/steps/000000/cache_before/000/key", "cache_before.key", 0, 0),
    ("/steps/000000/cache_before/002/value", "cache_before.value", 0, 2),
    ("/steps/000003/cache_before/001/key", "cache_before.key", 3, 1),
    ("/steps/000002/cache_after/001/value", "cache_after.value", 2, 1),
    ("/steps/000000/taps/model.layers.1.self_attn.q_proj", "self_attn.q_proj", 0, 1),
    ("/steps/000001/taps/model.layers.2.mlp.down_proj", "mlp.down_proj", 1, 2),
    ("/steps/000004/taps/lm_head", "lm_head", 4, None),
    ("/adapter/prompt", "adapter.prompt", 0, None),
])
def test_one_part_in_a_thousand(qconform, damaged, tensor, site, step, layer):
    done = qconform("diagnose", "--json", damaged(*element(HEALTHY_PREFIX, tensor)))
    first = done.case["first_divergence"]
    assert done.code == 1 and done.case["status"] == "FAIL"
    assert (first["site"], first["step"], first["layer"], first["kind"]) == (site, step, layer, "value")
    cause = done.case["cause"]
    if site == "cache_before.key" and step > 0:  # a row that the step before had left otherwise, and the step itself too
        assert cause["id"] == "cache-rewritten" and cause["explained"] < 0.99
    else:
        assert cause["id"] == "unclassified" and cause["explained"] == 0
    assert first["index"] is not None and abs(first["observed"]["value"] / first["expected"]["value"] - 1.001) < 1e-4


def test_copied_data_has_no_floor(qconform, damaged):
    """One unit in the last place of a prefix is a difference: copies must be equal to the bit."""
    def change(file):
        data = file["/steps/000000/cache_before/000/key"]
        values = data[()]
        values.flat[5] = np.nextafter(values.flat[5], np.float32(np.inf))
        data[...] = values
    case = qconform("diagnose", "--json", damaged(HEALTHY_PREFIX, change)).case
    assert case["first_divergence"]["site"] == "cache_before.key" and case["first_divergence"]["ratio"] == "inf"
    assert case["first_divergence"]["position"].startswith("virtual token")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(qconform, damaged, bad):
    def change(file):
        values = file["/steps/000001/taps/model.layers.0.mlp.up_proj"][()]
        values.flat[7] = bad
        file["/steps/000001/taps/model.layers.0.mlp.up_proj"][...] = values
    first = qconform("diagnose", "--json", damaged(HEALTHY_PROMPT, change)).case["first_divergence"]
    assert (first["site"], first["kind"], first["step"]) == ("mlp.up_proj", "nonfinite", 1)


def drop(path):
    def change(file):
        del file[path]
    return change


def test_missing_tap(qconform, damaged):
    case = qconform("diagnose", "--json", damaged(HEALTHY_PROMPT, drop("/steps/000002/taps/model.layers.1.self_attn.v_proj"))).case
    assert (case["first_divergence"]["site"], case["first_divergence"]["kind"]) == ("self_attn.v_proj", "missing")
    assert case["coverage"]["missing"] == 1


def test_steps_that_were_lost(qconform, damaged):
    case = qconform("diagnose", "--json", damaged(HEALTHY_PROMPT, drop("/steps/000004"))).case
    assert case["status"] == "FAIL" and case["first_divergence"]["step"] == 4 and case["first_divergence"]["kind"] == "missing"


def test_hypotheses_are_ranked_when_nothing_fits(qconform, damaged):
    case = qconform("diagnose", "--json", damaged(*element(HEALTHY_PREFIX, "/steps/000000/taps/model.norm"))).case
    ranked = [finding for finding in case["findings"] if finding["id"] == "hypothesis"]
    assert len(ranked) >= 3 and all("explains" in finding["message"] or "is ruled out" in finding["message"] for finding in ranked)


def without(document, *names):
    return {key: value for key, value in document.items() if key not in names}


def comparable(text):
    document = json.loads(text)
    document["tool"].pop("threads")
    for case in document["cases"]:
        case.pop("timing")
    return without(document, "created", "command")


def test_same_inputs_same_bytes(qconform):
    paths = [path for path, _ in rows()]
    one, other = (qconform("diagnose", "--json", "-j", jobs, *paths).out for jobs in (1, 2))
    assert json.dumps(comparable(one)) == json.dumps(comparable(other))


def test_source_date_epoch_fixes_the_date(qconform):
    document = qconform("diagnose", "--json", RECORDINGS / BAD, SOURCE_DATE_EPOCH="1700000000").document
    assert document["created"] == "2023-11-14T22:13:20Z"


def test_verdicts_do_not_depend_on_the_blas_kernel(qconform):
    for core in ("Prescott", "Haswell"):
        done = qconform("diagnose", "--json", *[path for path, _ in rows()], OPENBLAS_CORETYPE=core)
        assert [case["status"] for case in done.document["cases"]] == [expected["status"] for _, expected in rows()]
        assert done.document["tool"]["blas_core"] == core


def test_weights_from_folders(qconform):
    """Embedded weights, those that the recording names, and those of --model and --adapter give the same verdict."""
    name = "qwen2-prompt-tf4.57.3-peft0.18.1.h5"
    named = qconform("diagnose", "--json", RECORDINGS / name).case
    given = qconform("diagnose", "--json", RECORDINGS / name, "--model", "fixtures/models/qwen2-tiny", "--adapter",
                     "fixtures/adapters/qwen2-tiny-prompt").case
    assert named["status"] == given["status"] == "PASS" and named["sites"] == given["sites"]
    other = qconform("diagnose", "--json", RECORDINGS / "qwen2-prompt-tf5.23.0-peft0.21.2.h5", "--model", "fixtures/models/qwen2-tiny")
    assert other.case["status"] == "PASS"


def test_structure_alone(qconform, damaged):
    """Without weights the structure is judged, and the report says what it could not see."""
    def change(file):
        del file["/model/weights"], file["/adapter/weights"]
    done = qconform("diagnose", "--json", damaged(HEALTHY_PROMPT, change))
    assert done.case["status"] == "PASS" and "values" in done.case["coverage"]["blind"] and done.code == 0
    bad = qconform("diagnose", "--json", damaged(BAD, change))
    assert bad.case["cause"]["id"] == "prompt-not-injected" and bad.case["cause"]["explained"] >= 0.99




def cut_at_a_raise(taps, exception, message):
    """Turn a healthy run into one that raised in the first attention of its first step, behind those modules."""
    def change(file):
        call, step = file["/call"], file["/steps/000000"]
        call.attrs.update({"outcome": "raised", "exception_type": exception, "exception_message": message,
                           "raised_at": "model.layers.0.self_attn", "traceback": ""})
        del call["output_ids"], step["cache_after"]
        step.attrs["raised"] = 1
        for name in list(file["/steps"])[1:]:
            del file["/steps"][name]
        for name in list(step["taps"]):
            if name not in taps:
                del step["taps"][name]
    return change


TABLES = "qwen1.5-prompt-tf4.41.2-peft0.12.0.h5"
PROJECTIONS = ["model.layers.0.input_layernorm"] + [f"model.layers.0.self_attn.{part}_proj" for part in "qkv"]
ROTARY = [f"model.layers.0.self_attn.rotary_emb{part}" for part in ("", "@1")]


@pytest.mark.parametrize("taps, exception, message, cause", [
    (PROJECTIONS + ROTARY, "IndexError", "index 14 is out of bounds for dimension 0 with size 12", "position-offset-doubled"),
    (PROJECTIONS + ROTARY, "AttributeError", "'tuple' object has no attribute 'update'", "unclassified"),
    (PROJECTIONS, "IndexError", "index 14 is out of bounds for dimension 0 with size 12", "unclassified")])
def test_a_raise_alone_names_a_cause_only_where_and_as_that_cause_raises(qconform, damaged, taps, exception, message, cause):
    """Many things raise in the first attention; only positions beyond the table raise behind the table, and so."""
    case = qconform("diagnose", "--json", damaged(TABLES, cut_at_a_raise(taps, exception, message))).case
    assert case["status"] == "FAIL" and case["cause"]["id"] == cause
    assert case["first_divergence"]["kind"] == "raised" and case["first_divergence"]["site"] == "self_attn"


@pytest.mark.parametrize("name, permutation", [
    ("qwen1.5-prefix-transposed-tf4.46.3-peft0.14.0.h5", [0, 1, 2, 4, 3, 5]),
    ("qwen2-prefix-transposed-tf4.57.3-peft0.18.1.h5", [0, 1, 2, 4, 3, 5])])
def test_layout_is_reported_with_its_permutation(qconform, name, permutation):
    case = qconform("diagnose", "--json", RECORDINGS / name).case
    assert case["first_divergence"]["kind"] == "layout" and case["first_divergence"]["permutation"] == permutation
    held = [site for site in case["sites"] if site["site"] == "cache_before.key" and site["step"] == 0]
    assert held and all(site["kind"] == "layout" for site in held)


def test_without_what_get_prompt_gave_the_cache_tells_the_layout(qconform, damaged):
    def forget(file):
        del file["/adapter/prompt"]
    case = qconform("diagnose", "--json", damaged("qwen2-prefix-transposed-tf4.57.3-peft0.18.1.h5", forget), "--model",
                    RECORDINGS.parent / "models/qwen2-tiny", "--adapter", RECORDINGS.parent / "adapters/qwen2-tiny-prefix").case
    assert case["cause"]["id"] == "prefix-layout-transposed"
    assert case["first_divergence"]["site"] == "cache_before.length"
    assert {site["kind"] for site in case["sites"] if site["site"] == "cache_before.key"} == {"layout"}
