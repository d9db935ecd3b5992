"""What a verdict is worth: a pass is earned by what was looked at, and a failure says what it does to the tokens."""

import json

import h5py
import numpy as np
import pytest

from conftest import RECORDINGS

PROMPT = "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
PREFIX = "qwen2-prefix-tf4.46.3-peft0.14.0.h5"
BASE = "qwen2-base-tf4.57.3.h5"
STATS = "qwen2-prompt-stats-tf4.44.2-peft0.13.2.h5"
BLOCKS = "qwen2-prompt-blocks-tf4.44.2-peft0.13.2.h5"
NOT_INJECTED = "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
TOKENS_REVERSED = "qwen2.5-prefix-token-order-tf4.57.3-peft0.18.1.h5"
SWAPPED = "qwen2-prefix-key-value-swapped-tf4.57.3-peft0.18.1.h5"


FOLDERS = ("--model", "fixtures/models/qwen2-tiny", "--adapter", "fixtures/adapters/qwen2-tiny-prompt")


def without_weights(file):
    for part in ("model", "adapter"):
        if part in file:
            file[part].attrs.update({"weights": "", "weights_sha256": ""})
        if f"{part}/weights" in file:
            del file[f"{part}/weights"]


def put(file, name, number):
    """One number throughout, in the dataset or in the statistics that stand for it."""
    data = file[name]
    if data.shape is not None:
        data[...] = np.full(data.shape, number, dtype=data.dtype)
    else:
        count = int(np.prod(data.attrs["shape"]))
        for key in ("min", "max", "mean"):
            data.attrs[key] = float(number)
        data.attrs["rms"] = abs(float(number))
        data.attrs["zero"] = count if number == 0 else 0
        if "sha256" in data.attrs:
            del data.attrs["sha256"]


def taps(file):
    return [f"/steps/{step}/taps/{path}" for step in file["/steps"] for path in file[f"/steps/{step}/taps"]]


# ---- one number throughout ----

PLACES = [("/steps/000002/taps/model.layers.1.mlp.up_proj", "mlp.up_proj", 2, 1),
          ("/steps/000001/taps/model.layers.0", "output", 1, 0),
          ("/steps/000003/taps/lm_head", "lm_head", 3, None),
          ("/steps/000000/received/inputs_embeds", "received.inputs_embeds", 0, None),
          ("/steps/000000/cache_after/001/value", "cache_after.value", 0, 1),
          ("/adapter/prompt", "adapter.prompt", 0, None)]


@pytest.mark.parametrize("number", [0, 0.25])
@pytest.mark.parametrize("place, site, step, layer", PLACES, ids=[site for _, site, _, _ in PLACES])
def test_one_number_throughout_is_no_evidence_even_without_weights(qconform, damaged, place, site, step, layer, number):
    def change(file):
        without_weights(file)
        put(file, place, number)
    done = qconform("diagnose", "--json", damaged(PROMPT, change))
    first = done.case["first_divergence"]
    assert done.code == 1 and done.case["status"] == "FAIL"
    assert (first["site"], first["step"], first["layer"], first["kind"]) == (site, step, layer, "value")
    assert "throughout" in done.case["verdict"]


@pytest.mark.parametrize("weights", [True, False], ids=["with weights", "without weights"])
def test_constant_statistics_cannot_pass(qconform, damaged, weights):
    def change(file):
        if not weights:
            without_weights(file)
        for name in taps(file):
            put(file, name, 0)
    done = qconform("diagnose", "--json", damaged(STATS, change), *(FOLDERS if weights else ()))
    assert done.code == 1 and done.case["first_divergence"]["kind"] == "value"


def test_all_taps_zero_cannot_pass_at_level_blocks(qconform, damaged):
    def change(file):
        without_weights(file)
        for name in taps(file):
            put(file, name, 0)
    done = qconform("diagnose", "--json", damaged(BLOCKS, change))
    assert done.code == 1 and done.case["first_divergence"]["site"] in ("output", "model.embed_tokens")


# ---- what a producer never writes ----

def drop_taps(*parts):
    def change(file):
        for name in taps(file):
            if any(part in name for part in parts):
                del file[name]
    return change


@pytest.mark.parametrize("name", [PROMPT, PREFIX])
def test_an_engine_without_a_rotary_module_passes_and_the_tables_are_waived(qconform, damaged, name):
    done = qconform("diagnose", "--json", damaged(name, drop_taps("rotary_emb")), *FOLDERS[:2])
    assert (done.code, done.case["status"]) == (0, "PASS") and done.case["coverage"]["waived"] > 0


def test_rotary_tables_that_one_step_lacks_are_missing(qconform, damaged):
    def change(file):
        for name in taps(file):
            if "rotary_emb" in name and "/000001/" in name:
                del file[name]
    done = qconform("diagnose", "--json", damaged(PREFIX, change), *FOLDERS[:2])
    assert (done.code, done.case["first_divergence"]["kind"], done.case["first_divergence"]["step"]) == (1, "missing", 1)


@pytest.mark.parametrize("name, cause", [("qwen2.5-base-rope-interleaved-tf4.57.3-peft0.18.1.h5", "rope-interleaved"),
                                         (BASE, "unclassified")])
def test_taps_that_are_never_written_fail_and_hide_no_cause(qconform, damaged, name, cause):
    model = "fixtures/models/" + ("qwen2.5-tiny" if name.startswith("qwen2.5") else "qwen2-tiny")
    done = qconform("diagnose", "--json", damaged(name, drop_taps("q_proj", "k_proj", "v_proj", "o_proj")), "--model", model)
    assert (done.code, done.case["cause"]["id"]) == (1, cause)
    assert any(site["status"] == "missing" for site in done.case["sites"])


def test_steps_that_are_not_there_are_no_stop_that_a_cause_predicts(qconform, damaged):
    def change(file):
        for step in list(file["/steps"])[1:]:
            del file[f"/steps/{step}"]
    for name in (PROMPT, PREFIX):
        done = qconform("diagnose", "--json", damaged(name, change), *FOLDERS[:2])
        assert (done.code, done.case["cause"]["id"]) == (1, "unclassified")


def test_a_run_without_steps_is_judged(qconform, damaged):
    done = qconform("diagnose", "--json", damaged(PROMPT, drop("/steps")), *FOLDERS[:2])
    assert (done.code, done.case["status"]) == (1, "FAIL")


@pytest.mark.parametrize("name", ["qwen2-prompt-tf4.57.3-peft0.18.1.h5", "qwen2-prefix-tf4.57.3-peft0.18.1.h5"])
def test_a_short_mask_that_an_engine_ignores_is_named_whatever_its_versions_do(qconform, damaged, name):
    def change(file):
        P = json.loads(file["adapter"].attrs["config"])["num_virtual_tokens"]
        for step in file["/steps"].values():
            mask = step["received/attention_mask"][:, P:]
            attributes = dict(step["received/attention_mask"].attrs, shape=np.array(mask.shape, dtype=np.int64))
            del step["received/attention_mask"]
            step["received"].create_dataset("attention_mask", data=mask, track_times=False).attrs.update(attributes)
    adapter = "fixtures/adapters/qwen2-tiny-" + name.split("-")[1]
    done = qconform("diagnose", "--json", damaged(name, change), *FOLDERS[:2], "--adapter", adapter)
    assert (done.code, done.case["cause"]["id"], done.case["cause"]["confidence"]) == (1, "mask-not-extended", "high")
    assert (done.case["consequence"]["says"], done.case["consequence"]["first_token_flip"]) == ("none", None)


# ---- coverage that vanished ----

def drop(*names):
    def change(file):
        for name in names:
            del file[name]
    return change


def half_of_the_taps(file):
    for name in taps(file)[::2]:
        del file[name]


def all_taps(file):
    for name in taps(file):
        del file[name]


def statistics(file):
    for name in taps(file):
        for key in ("min", "max", "mean", "rms", "nan", "inf", "zero", "sha256"):
            file[name].attrs.pop(key, None)


@pytest.mark.parametrize("weights", [True, False], ids=["with weights", "without weights"])
@pytest.mark.parametrize("name, change", [
    (PROMPT, half_of_the_taps), (PROMPT, all_taps), (PROMPT, drop("/steps/000004")), (PROMPT, drop("/steps")),
    (PROMPT, drop("/steps/000002/cache_after")), (PROMPT, drop("/steps/000002/cache_before/001/key")),
    (PROMPT, drop("/steps/000001/received")), (STATS, statistics), (STATS, half_of_the_taps),
], ids=["half of the taps", "all taps", "the last step", "all steps", "a cache", "half a layer", "what was received",
        "the statistics", "half of the taps at level stats"])
def test_coverage_that_vanished_cannot_pass(qconform, damaged, name, change, weights):
    def both(file):
        if not weights:
            without_weights(file)
        change(file)
    done = qconform("diagnose", "--json", damaged(name, both), *(FOLDERS if weights and name == STATS else ()))
    assert done.case["status"] == "FAIL" and done.code == 1 and done.case["coverage"]["missing"] > 0


def zero_model(file):
    """What a run of a model whose weights are all zero leaves behind: every tensor agrees with the reference."""
    for name in file["/model/weights"]:
        put(file, f"/model/weights/{name}", 0)
    steps = sorted(file["/steps"])
    for step in steps:
        group = file[f"/steps/{step}"]
        for path in group["taps"]:
            if "rotary" not in path:
                put(file, f"/steps/{step}/taps/{path}", 0)
        for side in ("cache_before", "cache_after"):
            for layer in group[side]:
                for half in group[side][layer]:
                    if group[side][layer][half].shape is not None and group[side][layer][half].size:
                        put(file, f"/steps/{step}/{side}/{layer}/{half}", 0)


def test_a_model_of_zeros_makes_no_pass(qconform, damaged):
    done = qconform("diagnose", "--json", damaged(BASE, zero_model))
    coverage = done.case["coverage"]
    assert done.code == 5 and done.case["status"] == "ERROR" and not coverage["earned"]
    assert "constant" in coverage["blind"] and coverage["missing"] == 0 and coverage["waived"] > coverage["expected"] / 2
    assert "logits" in done.case["error"]["message"] and done.case["error"]["hint"]
    mixed = qconform("diagnose", "--json", damaged(BASE, zero_model), RECORDINGS / PROMPT)
    assert mixed.code == 5


def test_a_module_of_zeros_is_a_blind_spot(qconform, damaged):
    """The rest of the model is still judged: one layer's way back into the stream is cut, and with it what that layer does."""
    def change(file):
        put(file, "/model/weights/model.layers.2.mlp.down_proj.weight", 0)
        for step in file["/steps"]:
            put(file, f"/steps/{step}/taps/model.layers.2.mlp.down_proj", 0)
    done = qconform("diagnose", "--json", damaged(BASE, change))
    sites = {(site["layer"], site["site"]): site for site in done.case["sites"]}
    assert sites[2, "mlp.down_proj"]["status"] == "waived" and sites[1, "mlp.down_proj"]["status"] == "conforms"
    assert "constant" in done.case["coverage"]["blind"]
    assert done.case["first_divergence"]["site"] == "output", "the layer's output was recorded with the old weights"


# ---- the ledger ----

@pytest.mark.parametrize("name", [PROMPT, PREFIX, STATS, NOT_INJECTED, "qwen2-prompt-tf4.42.4-peft0.11.1.h5"])
def test_the_ledger_adds_up(qconform, name):
    coverage = qconform("diagnose", "--json", RECORDINGS / name).case["coverage"]
    for key in ("expected", "compared", "missing", "waived", "by_value"):
        assert sum(row[key] for row in coverage["ledger"]) == coverage[key], key
    for row in coverage["ledger"]:
        assert row["expected"] == row["compared"] + row["missing"] + row["waived"] and row["by_value"] <= row["compared"]
    assert coverage["earned"]


def test_every_blind_spot_is_explained(qconform):
    listed = {row["id"]: row["title"] for row in qconform("list", "blind", "--json").document["rows"]}
    coverage = qconform("diagnose", "--json", RECORDINGS / PROMPT).case["coverage"]
    assert set(coverage["blind"]) <= set(listed) and {"values", "padding", "window", "tokens-order", "logits"} <= set(listed)
    assert all(len(sentence) > 30 for sentence in listed.values())
    assert "one row" in qconform("explain", "batch").out


def test_virtual_tokens_that_are_alike_cannot_show_their_order(qconform, damaged):
    def change(file):
        table = file["/adapter/weights/prompt_embeddings"]
        table[...] = np.broadcast_to(table[()][:1], table.shape)
    case = qconform("diagnose", "--json", damaged(PROMPT, change)).case
    assert "tokens-order" in case["coverage"]["blind"]
    assert "tokens-order" not in qconform("diagnose", "--json", RECORDINGS / PROMPT).case["coverage"]["blind"]


# ---- the consequence ----

def logits_of(file, step):
    return file[f"/steps/{step:06d}/taps/lm_head"]


def moved(share):
    """The second best token's logit of step 3 raised by a share of the margin."""
    def change(file):
        data = logits_of(file, 3)
        values = data[()]
        row = values[0, -1]
        second, best = np.argsort(row)[-2:]
        row[second] += share * (row[best] - row[second])
        data[...] = values
    return change


@pytest.mark.parametrize("share, says", [(0.25, "cannot-flip"), (0.75, "could-flip"), (1.5, "flips")])
def test_the_error_is_held_against_the_margin(qconform, damaged, share, says):
    case = qconform("diagnose", "--json", damaged(BASE, moved(share))).case
    consequence = case["consequence"]
    step = {row["step"]: row for row in consequence["steps"]}[3]
    assert consequence["says"] == says
    assert step["error"] == pytest.approx(share * step["margin"], rel=1e-3)
    assert consequence["first_token_flip"] == (3 if says == "flips" else None)
    assert step["top1_agrees"] == (says != "flips") == (step["expected_token"] == step["observed_token"])
    assert consequence["kl"] == step["kl"] > 0 and [row["step"] for row in consequence["steps"]] == list(range(5))
    assert all(row["conforms"] and row["kl"] == 0 for row in consequence["steps"] if row["step"] != 3)
    assert consequence["top1_agreement"] == pytest.approx(0.8 if says == "flips" else 1)


def test_kl_is_that_of_the_two_distributions(qconform, damaged):
    case = qconform("diagnose", "--json", damaged(BASE, moved(1.5))).case
    with h5py.File(RECORDINGS / BASE) as file:
        p = logits_of(file, 3)[0, -1].astype(float)
    q = p.copy()
    second, best = np.argsort(q)[-2:]
    q[second] += 1.5 * (q[best] - q[second])

    def log_softmax(x):
        return x - x.max() - np.log(np.exp(x - x.max()).sum())
    expected = (np.exp(log_softmax(p)) * (log_softmax(p) - log_softmax(q))).sum()
    assert case["consequence"]["kl"] == pytest.approx(expected, rel=1e-3)


def test_a_structural_fault_alone_has_no_consequence(qconform):
    case = qconform("diagnose", "--json", RECORDINGS / TOKENS_REVERSED).case
    assert case["status"] == "FAIL" and case["cause"]["id"] == "prefix-token-order"
    assert case["consequence"]["says"] == "none" and case["consequence"]["kl"] == 0
    assert case["consequence"]["first_token_flip"] is None and "Consequence: none" in case["verdict"]


def test_logits_that_are_not_finite_agree_with_nothing(qconform, damaged):
    def change(file):
        data = logits_of(file, 1)
        data[...] = np.full(data.shape, np.nan, dtype=data.dtype)
    consequence = qconform("diagnose", "--json", damaged(BASE, change)).case["consequence"]
    assert consequence["says"] == "flips" and consequence["first_token_flip"] == 1 and consequence["kl"] == "inf"
    assert consequence["steps"][1]["observed_token"] is None


@pytest.mark.parametrize("name, words", [("qwen2-prompt-tf4.42.4-peft0.11.1.h5", "raised before its first logits"),
                                         ("qwen2-prompt-shapes-tf4.44.2-peft0.12.0.h5", "no logits could be compared")])
def test_where_no_logits_can_be_compared_it_says_so(qconform, name, words):
    case = qconform("diagnose", "--json", RECORDINGS / name).case
    assert case["consequence"] is None and words in case["verdict"]
    assert any(finding["id"] == "consequence" and words in finding["message"] for finding in case["findings"])


# ---- grafts ----

def grafts(case):
    return {(site["step"], site["layer"], site["site"]): site["grafted"] for site in case["sites"] if "grafted" in site}


def test_the_last_blocks_output_grafted_is_the_consequence(qconform):
    """Behind the last block everything is healthy in both: what it gives there is all that reaches the logits."""
    case = qconform("diagnose", "--json", RECORDINGS / SWAPPED).case
    found, step = grafts(case), case["consequence"]["steps"][0]
    last = case["model"]["layers"] - 1
    assert found[0, last, "output"]["kl"] == pytest.approx(step["kl"], rel=1e-4)
    assert found[0, last, "output"]["top1_agrees"] == step["top1_agrees"]
    assert {(0, layer, site) for layer in range(last + 1) for site in ("cache_before.key", "cache_before.value")} <= set(found)


def test_a_graft_of_one_tap_moves_the_logits_as_far_as_it_alone_can(qconform, damaged):
    """A module's output that was changed after the model had used it reaches nothing in the record, and in the graft it does."""
    def change(file):
        data = file["/steps/000001/taps/model.layers.0.mlp.down_proj"]
        data[...] = data[()] * 2
    case = qconform("diagnose", "--json", damaged(BASE, change)).case
    found = grafts(case)
    assert case["consequence"]["says"] == "none" and case["cause"]["id"] == "unclassified"
    assert found[1, 0, "mlp.down_proj"]["change"] > 100 and found[1, 0, "mlp.down_proj"]["kl"] > 0


def test_a_healthy_run_has_no_grafts(qconform):
    assert grafts(qconform("diagnose", "--json", RECORDINGS / BASE).case) == {}


# ---- reports ----

def test_the_reports_show_what_it_is_worth(qconform, tmp_path):
    page, table = tmp_path / "a.html", tmp_path / "a.csv"
    out = qconform("diagnose", "-v", RECORDINGS / SWAPPED, "--html", page, "--csv", table).out
    assert "margins     step 0: margin" in out and "grafted     step 0" in out and "ledger      step 0, protocol" in out
    html = page.read_text()
    assert html.count("<meter") == 2 and "What it does to the tokens" in html and "The ledger" in html
    assert "grafted_kl,grafted_change,grafted_top1_agrees" in table.read_text().splitlines()[0]
    assert "margins" not in qconform("diagnose", RECORDINGS / SWAPPED).out
