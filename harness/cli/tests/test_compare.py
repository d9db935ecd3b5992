"""One recording against another, without a reference."""

import json

import h5py
import jsonschema
import numpy as np
import pytest

from conftest import FOREIGN, RECORDINGS, ROOT

BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
GOOD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
NEWEST = RECORDINGS / "qwen2-prompt-tf5.23.0-peft0.21.2.h5"
BASE = RECORDINGS / "qwen2-base-tf4.57.3.h5"
RAISED = RECORDINGS / "qwen2-prompt-tf4.42.4-peft0.11.1.h5"
OTHER_MODEL = RECORDINGS / "qwen1.5-prompt-tf4.41.2-peft0.12.0.h5"


def sites(case, status):
    return [site for site in case["sites"] if site["status"] == status]


def test_one_screen_shows_where_the_bad_and_the_good_run_part(qconform):
    done = qconform("compare", BAD, GOOD)
    lines = done.out.splitlines()
    assert done.code == 1 and sum(1 + (len(line) - 1) // 100 for line in lines if line) + lines.count("") <= 40
    assert any(line.split() == ["peft", "0.12.0", "0.13.2"] for line in lines)
    assert "transformers 4.44.2" in done.out and "parts at    step 0, received.input_ids" in done.out
    assert any("steps 1-4, layers 0-2" in line and "all 156, from input_layernorm on" in line for line in lines)
    assert "A 84 38 38 8 49" in done.out and "B 22 25 4 57 56 (another from generated token 0 on)" in done.out
    assert lines[-1].startswith("next   qconform diagnose ") and BAD.name in lines[-1] and GOOD.name in lines[-1]
    assert lines[-2].startswith("x FAIL  The runs part at step 0") and "1 FAIL" in lines[-3]


def test_document_of_a_difference_keeps_the_contract(qconform):
    done = qconform("compare", "--json", BAD, GOOD)
    jsonschema.Draft202012Validator(json.loads((ROOT / "reports" / "result.schema.json").read_text())).validate(done.document)
    case, first = done.case, done.case["first_divergence"]
    assert (case["mode"], case["status"], case["cause"]["id"], case["cause"]["explained"]) == ("compare", "FAIL", "unclassified", 0)
    assert case["id"] == f"{BAD.name} vs {GOOD.name}" and case["other"]["environment"]["peft"] == "0.13.2"
    assert (first["site"], first["kind"], first["step"]) == ("received.input_ids", "missing", 0)
    assert first["expected"]["shape"] == [1, 7] and first["observed"]["shape"] is None
    assert case["tokens"] == {"a": [[84, 38, 38, 8, 49]], "b": [[22, 25, 4, 57, 56]], "first": [0]}
    coverage = case["coverage"]
    assert coverage["expected"] == coverage["compared"] + coverage["missing"] + coverage["waived"] == len(case["sites"])
    failing = sites(case, "differs") + sites(case, "missing") + sites(case, "extra")
    assert sum(group["count"] for group in case["differences"]) == len(failing), "the groups hold every difference once"
    assert {fact["name"] for fact in case["context"] if not fact["equal"]} == {"peft"}
    assert done.err == ""


def test_a_recording_is_equal_to_itself(qconform):
    done = qconform("compare", "--json", GOOD, GOOD)
    assert done.code == 0 and done.case["status"] == "PASS" and done.case["cause"] is None and done.case["differences"] == []
    assert {site["status"] for site in done.case["sites"]} == {"conforms"} and done.case["coverage"]["compared"] > 250
    assert "Equal to the bit" in done.case["verdict"]


def change_value(tensor, factor=None):
    """The element of flat index 5 moved by one unit in the last place, or multiplied."""
    def change(file):
        values = file[tensor][()]
        values.flat[5] = np.nextafter(values.flat[5], np.float32(np.inf)) if factor is None else values.flat[5] * factor
        file[tensor][...] = values
    return change


def test_one_unit_in_the_last_place_is_found_and_is_rounding_with_floor(qconform, damaged):
    other = damaged(GOOD, change_value("/steps/000002/taps/model.layers.1.mlp.up_proj"))
    case = qconform("compare", "--json", GOOD, other).case
    first = case["first_divergence"]
    assert (first["site"], first["step"], first["layer"], first["kind"], first["ratio"]) == ("mlp.up_proj", 2, 1, "value", "inf")
    assert first["index"] == [0, 0, 5] and first["expected"]["value"] != first["observed"]["value"]
    site, = sites(case, "differs")
    assert site["ulp"] == pytest.approx(1, abs=0.01) and site["max_abs"] > 0 and site["rms"] > 0
    by_floor = qconform("compare", "--json", "--floor", GOOD, other)
    assert by_floor.code == 0 and 0 < by_floor.case["largest_ratio"]["ratio"] < 5


def test_floor_does_not_forgive_what_rounding_cannot_explain(qconform, damaged):
    other = damaged(GOOD, change_value("/steps/000002/taps/model.layers.1.mlp.up_proj", 1.01))
    case = qconform("compare", "--json", "--floor", GOOD, other).case
    assert case["first_divergence"]["site"] == "mlp.up_proj" and 5 < case["first_divergence"]["ratio"] < 1e6


def test_floor_leaves_copied_data_equal_to_the_bit(qconform, damaged):
    other = damaged(GOOD, change_value("/steps/000000/received/inputs_embeds"))
    case = qconform("compare", "--json", "--floor", GOOD, other).case
    assert case["first_divergence"]["site"] == "received.inputs_embeds" and case["first_divergence"]["ratio"] == "inf"


def test_a_faulty_recording_has_a_floor_too(qconform, damaged):
    """The floor is taken from the play that reproduces the recording, here that of a prompt that is not injected."""
    other = damaged(BAD, change_value("/steps/000000/taps/model.layers.1.mlp.up_proj"))
    assert qconform("compare", BAD, other).code == 1 and qconform("compare", "--floor", BAD, other).code == 0


def test_newer_libraries_differ_by_rounding_and_by_healthy_absences(qconform):
    exact, floor = qconform("compare", "--json", GOOD, NEWEST), qconform("compare", "--json", "--floor", GOOD, NEWEST)
    assert exact.code == 1 and [site["site"] for site in sites(exact.case, "differs")] == ["lm_head"]
    assert floor.code == 0 and floor.case["largest_ratio"]["site"] == "lm_head"
    reasons = {site["reason"] for site in sites(floor.case, "waived")}
    assert reasons == {"a mask that hides nothing may stay away", "versions differ in where they make their rotary tables",
                       "the weights are not kept in a way that both recordings share"}
    assert not sites(floor.case, "missing") and not sites(floor.case, "extra")


def test_floor_needs_weights(qconform, damaged):
    def change(file):
        del file["/model/weights"]
    bare = damaged(GOOD, change)
    done = qconform("compare", "--json", "--floor", bare, GOOD)
    assert done.code == 3 and "no weights" in done.case["error"]["message"] and "--model" in done.case["error"]["hint"]
    assert done.case["mode"] == "compare"
    assert qconform("compare", "--floor", bare, GOOD, "--model", "fixtures/models/qwen2-tiny").code == 0
    assert qconform("compare", bare, GOOD).code == 0, "without --floor no weights are needed"


def test_two_models_have_nothing_in_common(qconform):
    done = qconform("compare", GOOD, OTHER_MODEL)
    assert done.code == 4 and "hidden_size 48 | 40" in done.out.replace("\n            ", " ")
    assert len(done.out.splitlines()) < 15


def test_another_batch_is_one_difference_and_no_flood(qconform, damaged):
    def change(file):
        for name in ("input_ids", "attention_mask", "output_ids"):
            values, attributes = file["call"][name][()], dict(file["call"][name].attrs)
            del file["call"][name]
            file["call"][name] = np.concatenate([values, values])
            file["call"][name].attrs.update(attributes | {"shape": np.array([2, values.shape[1]])})
    done = qconform("compare", "--json", GOOD, damaged(GOOD, change))
    assert done.code == 1 and done.case["first_divergence"]["site"] == "call.input_ids"
    assert done.case["first_divergence"]["kind"] == "shape" and len(done.case["differences"]) <= 3
    assert done.case["coverage"]["waived"] > 250


def drop(*paths):
    def change(file):
        for path in paths:
            del file[path]
    return change


def test_lost_steps_are_one_difference(qconform, damaged):
    shorter = damaged(GOOD, drop("/steps/000003", "/steps/000004"))
    case = qconform("compare", "--json", GOOD, shorter).case
    assert [(group["site"], group["steps"], group["kind"]) for group in case["differences"]] == [("steps", [3, 3], "missing")]
    assert qconform("compare", "--json", shorter, GOOD).case["first_divergence"]["kind"] == "extra"


def test_lost_tap_is_missing(qconform, damaged):
    case = qconform("compare", "--json", GOOD, damaged(GOOD, drop("/steps/000001/taps/model.layers.2.mlp.act_fn"))).case
    assert [(site["site"], site["step"], site["layer"]) for site in sites(case, "missing")] == [("mlp.act_fn", 1, 2)]
    assert case["coverage"]["missing"] == 1


def to_blocks(file):
    """What a recording of level "blocks" would hold."""
    file.attrs["level"] = "blocks"
    kept = {"model.embed_tokens", "model.norm", "lm_head"} | {f"model.layers.{layer}" for layer in range(3)}
    for step in file["steps"].values():
        for name in set(step["taps"]) - kept:
            del step["taps"][name]


def to_shapes(file):
    """What a recording of level "shapes" would hold: no values of taps, caches and embeddings."""
    file.attrs["level"] = "shapes"
    tensors = []
    file["steps"].visititems(lambda name, node: tensors.append(name) if isinstance(node, h5py.Dataset) and node.dtype.kind == "f" else None)
    for name in tensors:
        node = file["steps"][name]
        attributes, dtype = dict(node.attrs), node.dtype
        del file["steps"][name]
        file["steps"].create_dataset(name, data=h5py.Empty(dtype)).attrs.update(attributes)


def test_what_a_level_does_not_keep_is_no_difference(qconform, damaged):
    done = qconform("compare", "--json", GOOD, damaged(GOOD, to_blocks))
    assert done.code == 0 and not sites(done.case, "missing")
    assert {site["reason"] for site in sites(done.case, "waived")} == {"the other recording's level keeps no such place"}
    assert done.case["coverage"]["compared"] + done.case["coverage"]["waived"] == done.case["coverage"]["expected"]


def test_shapes_are_compared_without_values(qconform, damaged):
    done = qconform("compare", "--json", GOOD, damaged(GOOD, to_shapes))
    assert done.code == 0 and done.case["coverage"]["blind"] == ["values"] and "structures" in done.case["verdict"]
    parted = qconform("compare", "--json", BAD, damaged(GOOD, to_shapes)).case
    assert parted["first_divergence"]["site"] == "received.input_ids"


def test_missing_data_of_a_level_that_promises_it_is_missing(qconform, damaged):
    def change(file):
        to_shapes(file)
        file.attrs["level"] = "modules"
    case = qconform("compare", "--json", GOOD, damaged(GOOD, change)).case
    assert case["status"] == "FAIL" and case["first_divergence"]["kind"] == "missing"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(qconform, damaged, bad):
    def change(file):
        values = file["/steps/000001/taps/model.norm"][()]
        values.flat[7] = bad
        file["/steps/000001/taps/model.norm"][...] = values
    other = damaged(GOOD, change)
    first = qconform("compare", "--json", GOOD, other).case["first_divergence"]
    assert (first["site"], first["kind"], first["index"]) == ("model.norm", "nonfinite", [0, 0, 7])
    assert qconform("compare", other, other).code == 0, "the same NaN is the same bits"


def test_the_sign_of_zero_is_a_bit(qconform, damaged):
    def zero(sign):
        def change(file):
            values = file["/steps/000001/taps/model.norm"][()]
            values.flat[7] = sign * 0.0
            file["/steps/000001/taps/model.norm"][...] = values
        return change
    positive = damaged(GOOD, zero(1.0))
    positive = positive.rename(positive.with_name("positive.h5"))
    case = qconform("compare", "--json", positive, damaged(GOOD, zero(-1.0))).case
    assert case["status"] == "FAIL" and case["first_divergence"]["index"] == [0, 0, 7]


def test_a_run_that_raised_against_one_that_did_not(qconform):
    case = qconform("compare", "--json", RAISED, BAD).case
    found = {site["site"]: site["status"] for site in case["sites"] if site["status"] != "conforms"}
    assert found["steps"] == "extra" and found["call.outcome"] == "differs"
    assert qconform("compare", RAISED, RAISED).code == 0


def test_adapter_or_none_is_said(qconform):
    done = qconform("compare", BAD, BASE)
    assert done.code == 1 and any(line.split() == ["adapter", "PROMPT_TUNING", "none"] for line in done.out.splitlines())
    assert "A, B 84 38 38 8 49" in done.out, "the prompt that never arrived changes no token"


@pytest.mark.parametrize("first", [True, False])
def test_a_file_that_cannot_be_read_is_named(qconform, tmp_path, first):
    (tmp_path / "odd.h5").write_text("x")
    pair = [tmp_path / "odd.h5", GOOD]
    done = qconform("compare", "--json", *(pair if first else reversed(pair)))
    assert done.code == 3 and done.case["status"] == "ERROR" and done.case["error"]["file"].endswith("odd.h5")


def test_selection_narrows_a_comparison(qconform):
    case = qconform("compare", "--json", BAD, GOOD, "--layers", "1", "--steps", "2-", "--site", "self_attn.*").case
    places = {(site["step"], site["layer"], site["site"].split(".")[0]) for site in case["sites"]}
    assert places == {(step, 1, "self_attn") for step in (2, 3, 4)}
    assert case["selection"] == {"steps": [2, 4], "layers": [1, 1], "site": "self_attn.*", "precision": None}
    assert qconform("compare", BAD, GOOD, "--layers", "9").code == 4


def test_files_are_written_and_can_be_rendered_again(qconform, tmp_path):
    page, result = tmp_path / "c.html", tmp_path / "c.json"
    done = qconform("compare", BAD, GOOD, "--html", page, "--json-out", result)
    assert done.code == 1 and str(page) in done.out and "<html" in page.read_text()
    again = qconform("report", result)
    assert again.code == 0 and again.out.splitlines()[:20] == done.out.splitlines()[:20]


def test_verbose_shows_every_group(qconform):
    short, long = qconform("compare", BAD, GOOD, "--steps", "0-4").out, qconform("compare", "-v", BAD, GOOD).out
    assert len(long.splitlines()) > len(short.splitlines()) and "num_hidden_layers 3" in long


def test_hostile_text_is_shown_not_sent(qconform, damaged):
    def change(file):
        file["/environment"].attrs["peft"] = "\x1b]0;owned\x07"
        file["/adapter"].attrs["config"] = json.dumps(json.loads(file["/adapter"].attrs["config"]) | {"\x1b[31m": "\x1b[0m"})
    out = qconform("compare", "-v", GOOD, damaged(GOOD, change)).out
    assert "\x1b" not in out and "\\x1b" in out


@pytest.mark.parametrize("arguments", [[], [BAD], [BAD, GOOD, NEWEST], [BAD, GOOD, "--model", "x"], [BAD, GOOD, "--precision", "f64"],
                                       [BAD, GOOD, "--steps", "4-2"], [BAD, GOOD, "--steps", ""], [BAD, GOOD, "--layers", "1-2-3"]])
def test_wrong_use(qconform, arguments):
    done = qconform("compare", *arguments)
    assert done.code == 2 and done.err.startswith("qconform: ") and done.out == ""


def test_two_levels_of_other_runs_say_what_was_not_compared(qconform):
    done = qconform("compare", FOREIGN / "qwen2-prompt-not-injected.h5", FOREIGN / "qwen2-prompt-not-injected-shapes.h5")
    assert done.code == 1 and "compared by structure only" in done.out.replace("\n            ", " ")
