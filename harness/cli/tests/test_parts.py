"""Recordings that keep less than everything are judged as if they kept it, and inspect says what was kept."""

import h5py
import numpy as np

from conftest import RECORDINGS

HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
PREFIX = RECORDINGS / "qwen2-prefix-tf4.46.3-peft0.14.0.h5"


def store(group, name, data, attributes):
    del group[name]
    dataset = group.create_dataset(name, data=data)
    for key, value in attributes.items():
        dataset.attrs[key] = value


def keep_what_was_appended(file):
    """Of each cache tensor only the positions that the cache before it did not hold."""
    steps = list(file["steps"])
    held = {}
    plan = []
    for step in steps:
        for part in ("cache_before", "cache_after"):
            for layer, tensors in file["steps"][step].get(part, {}).items():
                for name, tensor in tensors.items():
                    whole, last = tensor[()], held.get((layer, name))
                    if last is not None and last.shape[2] <= whole.shape[2] and (whole[:, :, :last.shape[2]] == last).all():
                        plan.append((tensors, name, whole, last.shape[2], dict(tensor.attrs)))
                    held[layer, name] = whole
    for tensors, name, whole, begin, attributes in plan:
        store(tensors, name, whole[:, :, begin:], {**attributes, "from": np.int64(begin)})
    return len(plan)


def without_what_names_the_file(case):
    return {key: value for key, value in case.items() if key not in ("id", "recording", "recording_sha256", "timing")}


def test_kept_ends_are_judged_like_whole_caches(qconform, damaged):
    for recording in (HEALTHY, PREFIX):
        kept = []
        path = damaged(recording, lambda file: kept.append(keep_what_was_appended(file)))
        assert kept[0] > 20
        case = qconform("diagnose", "--json", path).case
        assert case["status"] == "PASS"
        assert without_what_names_the_file(case) == without_what_names_the_file(qconform("diagnose", "--json", recording).case)


def test_a_fault_in_a_kept_end_is_found(qconform, damaged):
    def change(file):
        keep_what_was_appended(file)
        file["/steps/000002/cache_after/001/key"][0, 0, 0, 0] += 1
    case = qconform("diagnose", "--json", damaged(HEALTHY, change)).case
    assert case["status"] == "FAIL" and case["first_divergence"]["step"] == 2


def test_a_kept_end_of_nothing_is_bad_input(qconform, damaged):
    def change(file):
        tensor = file["/steps/000000/cache_after/000/key"]
        store(file["/steps/000000/cache_after/000"], "key", tensor[:, :, 4:], {**tensor.attrs, "from": np.int64(4)})
    done = qconform("diagnose", "--json", damaged(HEALTHY, change))
    assert done.code == 3 and done.case["error"]["place"] == "/steps/000000/cache_after/000/key"
    assert "no step before" in done.case["verdict"]


def keep_two_rows(file):
    """Of the first step's logits the first and the last position."""
    taps = file["/steps/000000/taps"]
    whole, attributes = taps["lm_head"][()], dict(taps["lm_head"].attrs)
    rows = np.array([0, whole.shape[1] - 1])
    store(taps, "lm_head", whole[:, rows], {**attributes, "rows": rows})
    return taps["lm_head"]


def test_kept_rows_are_judged_where_they_lie(qconform, damaged):
    assert qconform("diagnose", "--json", damaged(HEALTHY, keep_two_rows)).case["status"] == "PASS"

    def change(file):
        keep_two_rows(file)[0, 0, 5] += 1
    case = qconform("diagnose", "--json", damaged(HEALTHY, change)).case
    assert case["status"] == "FAIL" and case["first_divergence"]["site"] == "lm_head"


def test_inspect_says_what_was_kept(qconform, damaged):
    statistics = {"min": -1.5, "max": np.inf, "mean": 0.25, "rms": 0.5, "sha256": "0a" * 32,
                  "nan": np.int64(0), "inf": np.int64(1), "zero": np.int64(2)}

    def change(file):
        keep_what_was_appended(file)
        taps = file["/steps/000000/taps"]
        head, norm = taps["lm_head"], taps["model.norm"]
        whole, attributes = head[()], dict(head.attrs)
        store(taps, "lm_head", whole[:, [2, whole.shape[1] - 1]], {**attributes, "rows": np.array([2, whole.shape[1] - 1])})
        store(taps, "model.norm", h5py.Empty("f4"), {**norm.attrs, **statistics})
    path = damaged(HEALTHY, change)
    document = qconform("inspect", "--json", path).document
    assert document["schema"] == "qconform-inspect/1" and document["level"] == "modules"
    taps = {tap["name"]: tap for tap in document["steps"][0]["taps"]}
    assert taps["lm_head"]["rows"] == [2, 10] and taps["lm_head"]["shape"] == [1, 11, 101] and taps["lm_head"]["data"]
    assert taps["lm_head"]["order"] > taps["model.norm"]["order"]
    assert not taps["model.norm"]["data"]
    assert taps["model.norm"]["statistics"] == {**statistics, "max": "inf"}
    keys = [tensor for tensor in document["steps"][1]["cache_after"]["tensors"] if tensor["name"] == "key"]
    assert [key["layer"] for key in keys] == [0, 1, 2] and {key["from"] for key in keys} == {11}
    out = qconform("inspect", "-v", path).out
    assert "lm_head  float32 [1, 11, 101]  2 rows kept: 2 10" in out
    assert "positions below 11 are the step before's" in out
    assert "min -1.5  max inf  mean 0.25  rms 0.5  nan 0  inf 1  zero 2  statistics only" in out
