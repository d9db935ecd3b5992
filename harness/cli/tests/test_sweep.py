"""A stranger's file through a worker of its own: cut anywhere, or with any byte changed, it ends in a documented status,
and the program that asked is alive to say so."""

import json
import random

import h5py
import numpy as np
import pytest

from conftest import RECORDINGS

STATUSES = {"PASS", "FAIL", "ERROR", "SKIP", "CRASH", "TIMEOUT"}
HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
BATCH = 200


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """As small as a recording can be with something in every group; read to its end, and then not covered by the judge."""
    path = tmp_path_factory.mktemp("sweep") / "small.h5"

    def put(file, name, data, **attributes):
        packed = {"chunks": data.shape, "compression": "gzip", "shuffle": True, "fletcher32": True} if "taps" in name else {}
        dataset = file.create_dataset(name, data=data, **packed)
        dataset.attrs.update({"shape": np.array(data.shape, "i8"), "dtype": str(data.dtype), **attributes})

    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs.update({"format": "qconform-recording", "version": np.int64(1), "level": "modules", "producer": "a test"})
        file.create_group("environment").attrs.update({"transformers": "4.44.2", "peft": "0.13.2"})
        file.create_group("model").attrs.update({"config": "{}", "class": "NoSuchModel", "dtype": "float32"})
        file.create_group("adapter").attrs.update({"peft_type": "PROMPT_TUNING", "config": "{}"})
        put(file, "adapter/prompt", np.ones((1, 2, 8), "f4"))
        file.create_group("call").attrs.update({"kind": "generate", "outcome": "ok"})
        put(file, "call/input_ids", np.array([[4, 5]]))
        put(file, "call/output_ids", np.array([[4, 5, 6]]))
        file.create_group("steps/000000").attrs["raised"] = np.int64(0)
        put(file, "steps/000000/received/input_ids", np.array([[4, 5]]))
        cache = file.create_group("steps/000000/cache_after")
        cache.attrs.update({"type": "DynamicCache", "length": np.int64(2), "layout": "BKSD"})
        put(file, "steps/000000/cache_after/000/key", np.ones((1, 1, 2, 2), "f4"))
        put(file, "steps/000000/taps/lm_head", np.ones((1, 2, 3), "f4"), order=np.int64(0))
    return path


def judged(qconform, folder, contents):
    """The cases of the files that hold `contents`, each in its own worker."""
    cases = []
    for begin in range(0, len(contents), BATCH):
        paths = []
        for number, content in enumerate(contents[begin:begin + BATCH]):
            paths.append(folder / f"{number}.h5")
            paths[-1].write_bytes(content)
        done = qconform("diagnose", "--json", "-j", "2", *paths)
        assert done.code in (0, 1, 3, 4, 5) and len(done.document["cases"]) == len(paths), done.err
        cases += done.document["cases"]
    return cases


def test_the_small_recording_is_read(qconform, small):
    case = qconform("diagnose", "--json", small).case
    assert case["status"] == "SKIP" and "NoSuchModel" in case["verdict"]


def test_cut_at_every_61st_byte(qconform, small, tmp_path):
    whole = small.read_bytes()
    lengths = range(0, len(whole), 61)
    for length, case in zip(lengths, judged(qconform, tmp_path, [whole[:length] for length in lengths]), strict=True):
        assert case["status"] == "ERROR", (length, case["verdict"])
        assert ("an empty file" if not length else "truncated") in case["error"]["message"] and case["error"]["hint"]


def test_two_thousand_flipped_bytes(qconform, small, tmp_path):
    draw, whole, contents = random.Random(61), small.read_bytes(), []
    for _ in range(2000):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
        contents.append(bytes(content))
    cases = judged(qconform, tmp_path, contents)
    statuses = [case["status"] for case in cases]
    assert set(statuses) <= STATUSES
    assert "TIMEOUT" not in statuses, "damage that sends the library round for ever is stopped long before"
    assert statuses.count("SKIP") > 100 and statuses.count("ERROR") > 100, "flips that do not matter, and flips that do"
    for case in cases:
        if case["status"] in ("ERROR", "CRASH"):
            assert case["error"]["file"] and case["error"]["message"] and case["error"]["hint"], case["error"]


def test_flipped_bytes_of_what_is_judged(qconform, tmp_path):
    """The same with a recording that reaches the judge; the healthy one among the damaged ones passes."""
    draw, whole, contents = random.Random(11), HEALTHY.read_bytes(), []
    for _ in range(20):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 2, 4])):
            content[draw.randrange(60000) if draw.random() < 0.7 else draw.randrange(len(content))] = draw.randrange(256)
        contents.append(bytes(content))
    cases = judged(qconform, tmp_path, [*contents, whole])
    assert {case["status"] for case in cases} <= STATUSES and cases[-1]["status"] == "PASS"
    assert json.dumps(cases)
