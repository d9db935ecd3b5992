"""How sharp the judge is. An error of twice the bound in one number of one tensor is found at that tensor and blamed on nothing
that is known; half the bound there may be rounding. What was copied has no bound: its smallest change is found."""

import json
import re
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from conftest import PROGRAM, RECORDINGS, ROOT

# Together they have every site that has values, in every family, dtype and level.
JUDGED = ["qwen2-prefix-tf4.46.3-peft0.14.0.h5", "qwen1.5-prompt-tf4.41.2-peft0.12.0.h5", "qwen3-prompt-tf5.23.0-peft0.21.2.h5",
          "qwen-v1-prompt-e08ed08-tf4.37.2-peft0.8.2.h5", "qwen2.5-prompt-bfloat16-tf4.57.3-peft0.18.1.h5",
          "qwen2.5-prefix-float16-tf5.15.0-peft0.20.0.h5", "qwen2-prompt-float64-tf4.57.3-peft0.18.1.h5",
          "qwen2-prompt-blocks-tf4.44.2-peft0.13.2.h5", "qwen2-prompt-stats-tf4.44.2-peft0.13.2.h5"]


def diagnose(paths):
    done = subprocess.run([str(PROGRAM), "diagnose", "--json", *map(str, paths)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def where(site):
    return site["step"], site["layer"], site["site"]


def place(case, site):
    """The dataset of a site in the recording."""
    step, layer, name = where(site)
    if name == "adapter.prompt":
        return "adapter/prompt"
    if name.startswith(("received.", "cache_")):
        group, dataset = name.split(".")
        return "/".join([f"steps/{step:06d}", group, *([] if layer is None else [f"{layer:03d}"]), dataset])
    block = "transformer.h" if case["model"]["class"] == "QWenLMHeadModel" else "model.layers"
    path = [] if layer is None else [block, str(layer)]
    return f"steps/{step:06d}/taps/" + ".".join(path + ([] if name == "output" else [name]))


def floor(site):
    """Of the view that decides: each module on what it was given, where that is known. None: no value was judged."""
    return site.get("floor_isolated", site.get("floor"))


def kinds(cases):
    """Of every kind of site one in each dtype and at each level: in the last step, where nothing is copied from it any more."""
    seen = set()
    for name, case in zip(JUDGED, cases):
        for site in reversed(case["sites"]):
            kind = site["site"], case["model"]["dtype"], case["recorder"]["level"]
            if floor(site) is not None and kind not in seen:
                seen.add(kind)
                yield name, case, site


def disturb(path, dataset, change):
    with h5py.File(path, "r+", libver=("earliest", "v110")) as file:
        data = file[dataset]
        if data.shape is None:  # statistics alone
            data.attrs["max"] = change(data.attrs["max"])
            return
        values = data[()]
        values.flat[-1] = change(values.flat[-1])  # of a cache, what this step appended
        data[...] = values


@pytest.fixture(scope="module")
def healthy():
    document = diagnose(RECORDINGS / name for name in JUDGED)
    return document["noise"]["multiple"], list(kinds(document["cases"]))


@pytest.fixture
def disturbed(tmp_path):
    """Copies of recordings, each changed in one number; the cases that come of them."""
    for folder in ("models", "adapters"):
        (tmp_path / folder).symlink_to(ROOT / "fixtures" / folder)
    (tmp_path / "recordings").mkdir()

    def judged(changes):
        paths = [tmp_path / "recordings" / f"{number:03d}.h5" for number in range(len(changes))]
        for path, (name, case, site, change) in zip(paths, changes):
            shutil.copyfile(RECORDINGS / name, path)
            disturb(path, place(case, site), change)
        return diagnose(paths)["cases"]
    return judged


def test_twice_the_bound_is_found_at_its_tensor_and_has_no_known_cause(healthy, disturbed):
    multiple, sites = healthy
    computed = [row for row in sites if floor(row[2]) > 0]
    table = re.findall(r'^SITE\(.*?"(.*?)".*"([^"]*)", [01]\)', (ROOT / "reference" / "sites.def").read_text(), re.M)
    assert {row[2]["site"] for row in computed} >= {name for name, summed in table if summed != "0"} > {"lm_head"}
    cases = disturbed([(*row, lambda value, by=2 * multiple * floor(row[2]): value + by) for row in computed])
    for (name, _, site), case in zip(computed, cases):
        at = f"{name} {where(site)}"
        assert case["status"] == "FAIL", at
        assert where(case["first_divergence"]) == where(site) and case["first_divergence"]["kind"] == "value", at
        assert case["cause"]["id"] == "unclassified", at


def test_half_the_bound_is_rounding(healthy, disturbed):
    """What follows is judged on the disturbed values, by a floor of its own, and may contradict them; the tensor itself conforms,
    and so does all before it."""
    multiple, sites = healthy
    computed = [row for row in sites if floor(row[2]) > 0][::2]
    cases = disturbed([(*row, lambda value, by=multiple * floor(row[2]) / 2: value + by) for row in computed])
    for (name, _, site), case in zip(computed, cases):
        places = [where(one) for one in case["sites"]]
        until = case["sites"][:places.index(where(site)) + 1]
        assert {one["status"] for one in until} == {"conforms"}, f"{name} {where(site)}"


def test_the_smallest_change_of_copied_data_is_found(healthy, disturbed):
    copied = [row for row in healthy[1] if floor(row[2]) == 0 and row[1]["model"]["dtype"] == "float32" and
              row[1]["recorder"]["level"] != "stats" and row[2]["site"].partition(".")[2] not in ("input_ids", "attention_mask", "position_ids", "cache_position")]
    assert {row[2]["site"] for row in copied} >= {"adapter.prompt", "received.inputs_embeds", "cache_before.key", "model.embed_tokens"}
    cases = disturbed([(*row, lambda value: np.nextafter(value, np.float32(np.inf))) for row in copied])
    for (name, _, site), case in zip(copied, cases):
        assert (case["status"], where(case["first_divergence"])) == ("FAIL", where(site)), name
        assert case["first_divergence"]["ratio"] == "inf", name


def floors(case):
    return {where(site): floor(site) for site in case["sites"] if floor(site)}


def products(case):
    return [finding["message"] for finding in case["findings"] if finding["id"] == "products"]


@pytest.mark.parametrize("said", [{"allow_tf32": "True"}, {"float32_matmul_precision": "high"}])
def test_a_gpu_that_may_multiply_in_tf32_has_a_higher_floor_and_it_is_said(qconform, damaged, said):
    name = "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
    plain = floors(qconform("diagnose", "--json", RECORDINGS / name).case)
    path = damaged(name, lambda file: file["environment"].attrs.update({"device": "cuda:0", **said}))
    case = qconform("diagnose", "--json", path).case
    assert case["status"] == "PASS" and "TF32" in products(case)[0]
    for at, high in floors(case).items():
        untouched = "norm" in at[2] or "rotary" in at[2] or "act_fn" in at[2]
        assert high <= plain[at] * 2 if untouched else at[2] not in ("self_attn.q_proj", "lm_head") or high > plain[at] * 100, at


@pytest.mark.parametrize("said, higher", [({}, True), ({"allow_bf16_reduced_precision_reduction": "False"}, False)])
def test_a_gpu_may_round_the_partial_sums_of_halves_unless_it_was_told_not_to(disturbed, tmp_path, said, higher):
    name = "qwen2.5-prompt-bfloat16-tf4.57.3-peft0.18.1.h5"
    path = tmp_path / "recordings" / name
    shutil.copyfile(RECORDINGS / name, path)
    with h5py.File(path, "r+", libver=("earliest", "v110")) as file:
        file["environment"].attrs.update({"device": "cuda:0", **said})
    plain, case = diagnose([RECORDINGS / name, path])["cases"]
    assert case["status"] == "PASS" and ("partial sums" in products(case)[0]) == higher and not products(plain)
    assert any(high > floors(plain)[at] for at, high in floors(case).items()) == higher
