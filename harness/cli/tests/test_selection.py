"""What is judged, and in which arithmetic: --steps, --layers, --site, --precision."""

import pytest

from conftest import RECORDINGS

BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
FLOAT64 = RECORDINGS / "qwen2-prompt-float64-tf4.57.3-peft0.18.1.h5"


@pytest.mark.parametrize("text, first, last", [("0-2", 0, 2), ("2", 2, 2), ("3-", 3, 4), ("-1", 0, 1), ("1-999999", 1, 4)])
def test_steps_in_every_form(qconform, text, first, last):
    case = qconform("diagnose", "--json", "--steps", text, HEALTHY).case
    assert case["status"] == "PASS" and {site["step"] for site in case["sites"]} == set(range(first, last + 1))
    assert case["selection"] == {"steps": [first, last], "layers": None, "site": None, "precision": None}


def test_layers_leave_out_what_lies_outside_the_blocks(qconform):
    case = qconform("diagnose", "--json", "--layers", "1-2", HEALTHY).case
    assert {site["layer"] for site in case["sites"]} == {1, 2}
    assert {"self_attn.q_proj", "output", "cache_before.key", "cache_after.value"} <= {site["site"] for site in case["sites"]}


def test_sites_by_glob(qconform):
    case = qconform("diagnose", "--json", "--site", "self_attn.[qk]_proj", HEALTHY).case
    assert {site["site"] for site in case["sites"]} == {"self_attn.q_proj", "self_attn.k_proj"}


def test_what_lies_outside_is_neither_judged_nor_counted(qconform, damaged):
    def change(file):
        file["/steps/000001/taps/model.layers.1.mlp.up_proj"][...] = 0
    path = damaged(HEALTHY, change)
    assert qconform("diagnose", path).code == 1 and qconform("diagnose", "--steps", "1", "--layers", "1", path).code == 1
    done = qconform("diagnose", "--json", "--site", "self_attn.*", "--steps", "1", "--layers", "1", path)
    assert done.code == 0 and done.case["coverage"]["expected"] == done.case["coverage"]["compared"] == len(done.case["sites"])


def test_the_selection_is_said(qconform):
    done = qconform("diagnose", "--steps", "0-1", "--site", "received.*", HEALTHY)
    assert "Judged only: steps 0-1, sites received.*." in done.out.splitlines()[-2]
    finding = qconform("diagnose", "--json", "--layers", "0", HEALTHY).case["findings"][0]
    assert finding["id"] == "selection" and finding["severity"] == "note" and "layers 0" in finding["message"]
    assert qconform("diagnose", "--json", HEALTHY).case["selection"] is None


def test_a_cause_is_still_found_within_a_selection(qconform):
    whole, part = qconform("diagnose", "--json", BAD).case, qconform("diagnose", "--json", "--steps", "0", BAD).case
    assert part["cause"]["id"] == whole["cause"]["id"] == "prompt-not-injected" and part["cause"]["explained"] >= 0.99
    assert part["first_divergence"] == whole["first_divergence"]


@pytest.mark.parametrize("arguments", [["--layers", "7"], ["--steps", "9-"], ["--site", "nothing"], ["--steps", "0", "--layers", "9"]])
def test_nothing_selected(qconform, arguments):
    done = qconform("diagnose", "--json", *arguments, HEALTHY)
    assert done.code == 4 and done.case["status"] == "SKIP" and "selection" in done.case["verdict"] and done.case["error"]["hint"]


@pytest.mark.parametrize("arguments", [["--steps", "3-1"], ["--steps", "-"], ["--steps", "one"], ["--layers", "1,2"], ["--layers", "1-2-3"],
                                       ["--steps", "12345678"], ["--precision", "f16"], ["--site"]])
def test_wrong_use(qconform, arguments):
    done = qconform("diagnose", HEALTHY, *arguments)
    assert done.code == 2 and done.out == ""


def test_a_float64_run_is_judged_in_the_arithmetic_of_transformers(qconform):
    done = qconform("diagnose", "--json", FLOAT64)
    assert done.case["status"] == "PASS" and done.case["model"]["dtype"] == "float64" and done.case["coverage"]["missing"] == 0
    sharp = [site["ratio_isolated"] for site in done.case["sites"] if site["site"] == "self_attn.q_proj"]
    assert sharp and max(sharp) <= done.document["noise"]["multiple"]


def test_the_floor_of_a_float64_product_is_float64_sized(qconform, damaged):
    """Fed with recorded inputs a projection is float64 throughout: one part in 10^10 is far beyond its rounding."""
    def change(file):
        file["/steps/000000/taps/model.layers.1.self_attn.q_proj"][...] *= 1 + 1e-10
    first = qconform("diagnose", "--json", damaged(FLOAT64, change), "--model", "fixtures/models/qwen2-tiny", "--adapter",
                     "fixtures/adapters/qwen2-tiny-prompt").case["first_divergence"]
    assert first["site"] == "self_attn.q_proj" and first["ratio"] > 1e3


def test_float64_throughout_is_not_what_transformers_computes(qconform):
    """Its norms and rotary tables are float32 whatever the model: taken as float64, they are the first to differ."""
    case = qconform("diagnose", "--json", "--precision", "f64", FLOAT64).case
    assert case["first_divergence"]["site"] == "model.rotary_emb" and case["selection"]["precision"] == "f64"
    assert qconform("diagnose", "--precision", "f32", FLOAT64).code == 0
    assert any(finding["id"] == "precision" for finding in case["findings"])


def test_float32_is_the_precision_of_a_float32_run(qconform):
    auto, given = (qconform("diagnose", "--json", "--precision", name, HEALTHY).case for name in ("auto", "f32"))
    assert auto["sites"] == given["sites"] and auto["status"] == "PASS" and auto["selection"] is None
    assert qconform("diagnose", "--precision", "f64", HEALTHY).code == 1
