"""Checkpoints as people have them: shards, caches of links, other storage types, two heads; and as a stranger makes them."""

import hashlib
import json
import os
import pathlib
import shutil
import struct

import numpy as np
import pytest

from conftest import RECORDINGS, ROOT
from test_inputs import HEALTHY, IN_FOLDER, refused

TINY = ROOT / "fixtures/models/qwen2-tiny"
INDEX = "model.safetensors.index.json"
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def read_tensors(path):
    """name -> float32 array of a float32 safetensors file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    header.pop("__metadata__", None)
    assert all(entry["dtype"] == "F32" for entry in header.values())
    return {name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"]) for name, entry in header.items()}


def stored(array, kind):
    """The bytes of an array in a type of the format; bfloat16 is rounded to nearest, ties to even."""
    if kind != "BF16":
        return array.astype(TYPES[kind]).tobytes()
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16).tobytes()


def write_tensors(path, tensors, kind="F32"):
    header, data = {}, b""
    for name, array in tensors.items():
        part = stored(array, kind)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def shard_name(number, count):
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


@pytest.fixture
def model(tmp_path):
    """Makes a folder with the tiny model's config.json and its tensors in `count` shards, or in one file."""
    def make(count=0, kind="F32", config=None, more=None):
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**json.loads((TINY / "config.json").read_text()), **(config or {})}))
        tensors = {**read_tensors(TINY / "model.safetensors"), **(more or {})}
        if not count:
            write_tensors(folder / "model.safetensors", tensors, kind)
            return folder
        place = {name: shard_name(number * count // len(tensors), count) for number, name in enumerate(tensors)}
        for shard in set(place.values()):
            write_tensors(folder / shard, {name: tensors[name] for name in tensors if place[name] == shard}, kind)
        (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 4}, "weight_map": place}, indent=2))
        return folder
    return make


def judged(done):
    """What a verdict rests on, without what names files and times."""
    return done.case["status"], done.case["coverage"], done.case["sites"]


def test_a_sharded_copy_is_the_model(qconform, model):
    whole, sharded = qconform("diagnose", "--json", IN_FOLDER), qconform("diagnose", "--json", IN_FOLDER, "--model", model(3))
    assert sharded.code == 0 and judged(sharded) == judged(whole)


def test_one_file_wins_over_an_index(qconform, model):
    folder = model(3)
    shutil.copy(TINY / "model.safetensors", folder)
    (folder / INDEX).write_text("damaged")
    assert qconform("diagnose", "--json", IN_FOLDER, "--model", folder).case["status"] == "PASS"


def named(damaged, folder, digest):
    """A copy of the recording that names this folder and digest."""
    def change(file):
        here = pathlib.Path(file.filename).parent
        file["/model"].attrs["weights"], file["/model"].attrs["weights_sha256"] = os.path.relpath(folder, here), digest
        file["/adapter"].attrs["weights"] = os.path.relpath(ROOT / "fixtures/adapters/qwen2-tiny-prompt", here)
    return damaged(IN_FOLDER, change)


def test_digest_of_a_sharded_checkpoint(qconform, model, damaged):
    folder = model(3)
    shards = [folder / shard_name(number, 3) for number in range(3)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [folder / INDEX] + shards)).hexdigest()
    recording = named(damaged, folder, digest)
    assert qconform("diagnose", "--json", recording).case["status"] == "PASS"
    content = bytearray(shards[1].read_bytes())
    content[-1] ^= 1
    shards[1].write_bytes(content)
    refused(qconform("diagnose", "--json", recording), INDEX, "sha256")


def test_digest_depends_on_the_order(qconform, model, damaged):
    folder = model(2)
    parts = [folder / shard_name(1, 2), folder / shard_name(0, 2), folder / INDEX]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
    refused(qconform("diagnose", "--json", named(damaged, folder, digest)), INDEX, "sha256")


def test_weights_stored_wider_are_cast_to_the_run(qconform, model):
    whole, wide = qconform("diagnose", "--json", IN_FOLDER), qconform("diagnose", "--json", IN_FOLDER, "--model", model(kind="F64"))
    assert wide.code == 0 and judged(wide) == judged(whole)


@pytest.mark.parametrize("kind", ["BF16", "F16"])
def test_weights_stored_narrower_are_other_weights(qconform, model, kind):
    """The run had float32 weights that no half holds: the first copied row tells."""
    done = qconform("diagnose", "--json", IN_FOLDER, "--model", model(2, kind))
    assert done.code == 1 and done.case["first_divergence"]["site"] == "received.inputs_embeds"
    expected = done.case["first_divergence"]["expected"]["value"]
    assert stored(np.float32([expected]), kind) == stored(np.float32([done.case["first_divergence"]["observed"]["value"]]), kind)


def cached(tmp_path, folder, outside=None):
    """The folder laid out as a repository of the Hugging Face cache; gives its snapshot."""
    snapshot = tmp_path / "models--q--tiny/snapshots/0123abc"
    blobs = tmp_path / "models--q--tiny/blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        target = (outside if path.name == shard_name(1, 3) and outside else blobs) / f"blob{number}"
        path.rename(target)
        (snapshot / path.name).symlink_to(os.path.relpath(target, snapshot))
    return snapshot


def test_a_snapshot_of_the_cache(qconform, model, tmp_path):
    assert qconform("diagnose", "--json", IN_FOLDER, "--model", cached(tmp_path, model(3))).case["status"] == "PASS"


def test_a_shard_that_is_a_link_to_elsewhere(qconform, model, tmp_path):
    done = qconform("diagnose", "--json", IN_FOLDER, "--model", cached(tmp_path, model(3), tmp_path))
    refused(done, shard_name(1, 3), "link", "leads out")


def test_a_shard_that_is_a_pipe_a_device_or_a_folder(qconform, model):
    folder = model(3)
    shard = folder / shard_name(2, 3)
    shard.unlink()
    os.mkfifo(shard)
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), shard.name, "not a regular file")
    shard.unlink()
    shard.mkdir()
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), shard.name, "not a regular file")
    shard.rmdir()
    shard.symlink_to("/dev/zero")
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), shard.name, "leads out")


def test_a_shard_that_is_not_there(qconform, model):
    folder = model(3)
    (folder / shard_name(0, 3)).unlink()
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), shard_name(0, 3), "No such file")


@pytest.mark.parametrize("name", ["/etc/hostname", "../config.json", "..", "sub/x"])
def test_an_index_that_names_other_places(qconform, model, name):
    folder = model(3)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = name
    (folder / INDEX).write_text(json.dumps(index))
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), INDEX, "no plain file name")


def test_a_tensor_that_its_shard_lacks(qconform, model):
    folder = model(3)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = shard_name(0, 3)
    (folder / INDEX).write_text(json.dumps(index))
    done = qconform("diagnose", "--json", IN_FOLDER, "--model", folder)
    refused(done, INDEX, "model.norm.weight", shard_name(0, 3))
    assert done.case["error"]["place"] == "model.norm.weight"


def test_a_pickle_is_refused_with_the_way_to_convert_it(qconform, model):
    folder = model()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    done = qconform("diagnose", "--json", IN_FOLDER, "--model", folder)
    refused(done, "pytorch_model.bin", "pickle")
    assert "save_pretrained" in done.case["error"]["hint"]


def test_two_heads_are_one_where_the_library_ties_them(qconform, model):
    """transformers 4.57.3 ties after loading: the head of the file is not looked at."""
    head = {"lm_head.weight": 2 * read_tensors(TINY / "model.safetensors")["model.embed_tokens.weight"]}
    assert qconform("diagnose", "--json", IN_FOLDER, "--model", model(more=head)).case["status"] == "PASS"


def test_an_untied_folder_without_a_head(qconform, model, damaged):
    def change(file):
        config = json.loads(file["/model"].attrs["config"])
        file["/model"].attrs["config"] = json.dumps({**config, "tie_word_embeddings": False})
    done = qconform("diagnose", "--json", damaged(IN_FOLDER, change), "--model", model(config={"tie_word_embeddings": False}))
    refused(done, "lm_head.weight", "tie_word_embeddings")


@pytest.mark.parametrize("key, value", [("tie_word_embeddings", 1), ("rope_theta", "1000000.0"), ("hidden_size", 48.5),
                                        ("num_hidden_layers", "3"), ("use_sliding_window", "false"), ("rms_norm_eps", True)])
def test_a_configuration_with_a_wrong_type(qconform, model, damaged, key, value):
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", model(config={key: value})), "config.json", key, "must be")

    def change(file):
        config = json.loads(file["/model"].attrs["config"])
        file["/model"].attrs["config"] = json.dumps({**config, key: value})
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "/model@config", key, "must be")


@pytest.mark.parametrize("value", [0, -4, 2 ** 31, 1.5, "4", True, None])
def test_a_number_of_virtual_tokens_that_is_none(qconform, damaged, value):
    def change(file):
        config = json.loads(file["/adapter"].attrs["config"])
        file["/adapter"].attrs["config"] = json.dumps({**config, "num_virtual_tokens": value})
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "/adapter@config", "num_virtual_tokens", "whole number")


@pytest.mark.parametrize("text, reason", [("{\"hidden_size\": 048}", "begin with 0"), ("\ufeff{}", "byte order mark"),
                                          ("{\"a\": 1, \"\\u0061\": 2}", "stands twice"), ("{} x", "after the document")])
def test_a_configuration_that_is_no_strict_json(qconform, model, text, reason):
    folder = model()
    (folder / "config.json").write_text(text, encoding="utf-8")
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), "config.json", reason)


def test_a_header_of_a_hundred_megabytes(qconform, model):
    folder = model()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", 10 ** 8) + b"{\"a\":[" + b"0," * 3000000)
        file.truncate(8 + 10 ** 8)
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), "model.safetensors", "more values than are read")


def test_a_given_adapter_of_another_model(qconform):
    done = qconform("diagnose", "--json", HEALTHY, "--adapter", ROOT / "fixtures/adapters/qwen1.5-tiny-prompt")
    refused(done, "[4, 40]", "width 40", "hidden_size is 48", "qwen1.5-tiny")


def test_a_given_prefix_of_another_model(qconform):
    done = qconform("diagnose", "--json", RECORDINGS / "qwen2-prefix-tf4.46.3-peft0.14.0.h5",
                    "--adapter", ROOT / "fixtures/adapters/qwen2-tiny-prompt")
    refused(done, "48 columns", "3 layers", "= 96")


def test_a_given_adapter_with_the_shape_of_a_known_fault_is_judged(qconform):
    done = qconform("diagnose", "--json", RECORDINGS / "qwen2-prefix-forward-tf4.41.2-peft0.11.1.h5",
                    "--adapter", ROOT / "fixtures/adapters/qwen2-tiny-prefix-query-heads")
    assert done.code == 1 and done.case["cause"]["id"] == "prefix-query-heads"
