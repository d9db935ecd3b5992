"""What is new with every family, arithmetic and cache, as its user sees it; the verdicts themselves are in test_verdicts.py."""

import pytest

from conftest import FOREIGN, RECORDINGS, rows

SILENT = ["qwen-v1-prefix-as-many-as-heads-e08ed08-tf4.37.2-peft0.8.2.h5", "qwen-v1-prefix-silent.h5"]


@pytest.mark.parametrize("name", SILENT)
def test_as_many_virtual_tokens_as_heads_are_named_with_their_permutation(qconform, name):
    """All extents agree, so nothing raised; the axes are named in the order of the first Qwen."""
    path = next(folder / name for folder in (RECORDINGS, FOREIGN) if (folder / name).exists())
    case = qconform("diagnose", "--json", path).case
    first = case["first_divergence"]
    assert case["cause"]["id"] == "prefix-layout-transposed" and case["call"]["outcome"] == "ok"
    assert (first["step"], first["kind"]) == (0, "layout")
    found = [finding for finding in case["findings"] if finding["id"] == "layout" and finding["site"] == "cache_before.key"]
    assert found and all(finding["permutation"] == [0, 2, 1, 3] for finding in found)
    if first["site"] == "cache_before.key":
        assert first["permutation"] == [0, 2, 1, 3] and first["axes"] == ["batch", "sequence", "heads", "head size"]


def test_transform_is_told_in_words_and_indices(qconform, tmp_path):
    path, page = RECORDINGS / "qwen2-prefix-key-value-swapped-tf4.57.3-peft0.18.1.h5", tmp_path / "page.html"
    told = "recorded[l,v,b,k,p,d] = expected[l,1 - v,b,k,p,d]"
    done = qconform("diagnose", "--json", path, "--html", page)
    found = [finding for finding in done.case["findings"] if finding["id"] == "transform"]
    assert found[0]["site"] == "adapter.prompt" and told in found[0]["message"]
    text = " ".join(qconform("diagnose", path).out.split())
    assert f"rearranged step 0, adapter.prompt: {found[0]['message']}" in text and told in page.read_text()


def test_ledger_tells_which_tokens_were_fed_and_which_steps_are_right(qconform, tmp_path):
    """use_cache=False cures only the later steps of the case that started it."""
    path, page = RECORDINGS / "qwen2-prompt-no-cache-tf4.44.2-peft0.12.0.h5", tmp_path / "page.html"
    done = qconform("diagnose", "--json", path, "--html", page)
    told = [finding["message"] for finding in done.case["findings"] if finding["id"] == "ledger"]
    assert len(told) == 1 and "step 0 feeds tokens 0-6 without the 4 virtual tokens" in told[0] and "Steps in order: 1, 2." in told[0]
    assert done.case["cause"]["id"] == "prompt-not-injected" and done.case["verdict"].endswith("healthy run: steps 1-2.")
    assert told[0] in " ".join(qconform("diagnose", path).out.split()) and told[0] in page.read_text()


@pytest.mark.parametrize("name", ["qwen2.5-prompt-left-tf4.46.3-peft0.14.0.h5", "qwen2.5-prefix-right-tf5.23.0-peft0.21.2.h5"])
def test_padded_batch_leaves_nothing_unseen(qconform, name):
    case = qconform("diagnose", "--json", RECORDINGS / name).case
    assert case["status"] == "PASS" and case["call"]["batch"] == 2 and case["coverage"]["blind"] == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves_conform_by_the_same_multiple(qconform, dtype):
    path = RECORDINGS / f"qwen2.5-prompt-{dtype}-tf4.46.3-peft0.14.0.h5"
    document = qconform("diagnose", "--json", path).document
    case = document["cases"][0]
    assert case["status"] == "PASS" and case["model"]["dtype"] == dtype and document["noise"]["multiple"] == 5
    assert 0 < case["largest_ratio"]["ratio"] <= 5
    assert f", {dtype}; PROMPT_TUNING" in qconform("diagnose", path).out


def test_kind_of_a_cause_is_told_in_words_and_its_number_is_a_number(qconform):
    wired, rolled = [qconform("diagnose", "--json", RECORDINGS / name).case["cause"] for name in
                     ("qwen2.5-prefix-kv-miswired-tf4.57.3-peft0.18.1.h5", "qwen2.5-prefix-token-order-rolled-tf4.46.3-peft0.14.0.h5")]
    assert wired["parameter"] is None and wired["variant"] == "keys of all layers, then values of all layers"
    assert isinstance(rolled["parameter"], (int, float)) and rolled["variant"] is None


@pytest.mark.parametrize("cause, cures, others", [("prompt-not-injected", 2, ["use_cache=False"]),
                                                  ("prefix-layout-transposed", 1, ["along axis 2", "permutes", "Qwen1.5"])])
def test_explain_prints_every_remedy_with_its_measured_verdict(qconform, cause, cures, others):
    text = " ".join(qconform("explain", cause).out.split())
    measured = text[text.index("measured "):text.index("upstream ")]
    assert measured.count("PASS, a cure") >= cures and measured.count("no cure, FAIL") >= 1
    assert all(other in measured for other in others)


def test_level_shapes_catches_structure_and_says_what_it_cannot_judge(qconform):
    shapes = [(path, expected) for path, expected in rows() if expected["level"] == "shapes" and expected["status"] == "FAIL"]
    cases = qconform("diagnose", "--json", *[path for path, _ in shapes]).document["cases"]
    assert len(shapes) == len(cases) > 5
    assert [path.name for (path, _), case in zip(shapes, cases) if case["coverage"] and "values" not in case["coverage"]["blind"]] == []
