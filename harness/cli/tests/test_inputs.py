"""Bad input: a clear error with file, place, reason and what to do; the right exit status; no crash."""

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from conftest import FOREIGN, RECORDINGS, ROOT

HEALTHY = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
IN_FOLDER = RECORDINGS / "qwen2-prompt-tf4.57.3-peft0.18.1.h5"


def refused(done, *words):
    """One case of status ERROR whose words say all of `words`; exit 3."""
    assert done.code == 3, done.err
    assert done.case["status"] == "ERROR" and done.document["exit"] == {"code": 3, "name": "bad-input"}
    for word in words:
        assert word in done.case["verdict"]
    assert done.case["error"]["file"] and done.case["error"]["message"] and done.case["error"]["hint"]
    assert done.case["cause"] is None and done.case["sites"] == []


def test_text_file(qconform, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a recording\n")
    refused(qconform("diagnose", "--json", path), "notes.txt", "not an HDF5 file")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99, 1 - 1e-5])
def test_truncated(qconform, tmp_path, share):
    path = tmp_path / "cut.h5"
    whole = HEALTHY.read_bytes()
    path.write_bytes(whole[:int(len(whole) * share)])
    refused(qconform("diagnose", "--json", path), "cut.h5", "truncated")


def test_empty_file(qconform, tmp_path):
    (tmp_path / "empty.h5").touch()
    refused(qconform("diagnose", "--json", tmp_path / "empty.h5"), "empty.h5")


def test_no_such_file(qconform, tmp_path):
    refused(qconform("diagnose", "--json", tmp_path / "absent.h5"), "absent.h5", "No such file")


def test_folder_and_pipe(qconform, tmp_path):
    refused(qconform("diagnose", "--json", tmp_path), "not a regular file")
    os.mkfifo(tmp_path / "pipe.h5")
    refused(qconform("diagnose", "--json", tmp_path / "pipe.h5"), "not a regular file")


def test_other_hdf5(qconform, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    refused(qconform("diagnose", "--json", tmp_path / "other.h5"), "not a recording")


def test_newer_format(qconform, damaged):
    def change(file):
        file.attrs["version"] = np.int64(2)
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "/@version", "version 2")


def test_weight_that_is_not_there(qconform, damaged):
    def change(file):
        del file["/model/weights/model.layers.1.mlp.up_proj.weight"]
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "model.layers.1.mlp.up_proj.weight")


def test_untied_head_that_is_not_there(qconform, damaged):
    def change(file):
        del file["/model/weights/lm_head.weight"]
    refused(qconform("diagnose", "--json", damaged(RECORDINGS / "qwen1.5-prompt-tf4.41.2-peft0.12.0.h5", change)), "lm_head.weight")


def test_named_folder_that_is_not_there(qconform, tmp_path):
    moved = tmp_path / "moved.h5"
    shutil.copy(IN_FOLDER, moved)
    refused(qconform("diagnose", "--json", moved), "config.json", "No such file")


def test_model_folder_of_another_size(qconform):
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", ROOT / "fixtures/models/qwen1.5-tiny"),
            "qwen1.5-tiny/config.json", "in the recording")


def test_weights_of_another_size(qconform, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(ROOT / "fixtures/models/qwen2-tiny/config.json", folder)
    shutil.copy(ROOT / "fixtures/models/qwen1.5-tiny/model.safetensors", folder)
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), "model.safetensors", "the configuration requires")


def test_truncated_weights(qconform, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(ROOT / "fixtures/models/qwen2-tiny", folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    refused(qconform("diagnose", "--json", IN_FOLDER, "--model", folder), "model.safetensors")


def test_weights_that_were_changed(qconform, tmp_path):
    """The recording carries the digest of the weights that it names."""
    for part in ("recordings", "models", "adapters"):
        (tmp_path / part).mkdir()
    shutil.copy(IN_FOLDER, tmp_path / "recordings")
    shutil.copytree(ROOT / "fixtures/models/qwen2-tiny", tmp_path / "models/qwen2-tiny")
    shutil.copytree(ROOT / "fixtures/adapters/qwen2-tiny-prompt", tmp_path / "adapters/qwen2-tiny-prompt")
    assert qconform("diagnose", "--json", tmp_path / "recordings" / IN_FOLDER.name).case["status"] == "PASS"
    weights = tmp_path / "models/qwen2-tiny/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    refused(qconform("diagnose", "--json", tmp_path / "recordings" / IN_FOLDER.name), "model.safetensors", "sha256")


def test_adapter_of_another_size_is_evidence(qconform, damaged):
    """A misfit inside a readable recording is a failure of the run, not bad input."""
    def change(file):
        del file["/adapter/weights/prompt_embeddings"]
        table = file.create_dataset("/adapter/weights/prompt_embeddings", data=np.zeros((4, 40), "f4"))
        table.attrs["shape"], table.attrs["dtype"] = np.array([4, 40]), "float32"
    done = qconform("diagnose", "--json", damaged(HEALTHY, change))
    assert done.code == 1 and done.case["status"] == "FAIL"


def test_token_beyond_the_vocabulary(qconform, damaged):
    def change(file):
        file["/call/input_ids"][0, 2] = 10 ** 6
        file["/call/output_ids"][0, 2] = 10 ** 6
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "/call/input_ids", "vocabulary")


def test_external_link(qconform, damaged):
    def change(file):
        del file["/call/attention_mask"]
        file["/call/attention_mask"] = h5py.ExternalLink("/etc/hostname", "/x")
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "attention_mask", "link")


def test_external_storage(qconform, damaged):
    def change(file):
        del file["/call/attention_mask"]
        data = file.create_dataset("/call/attention_mask", (1, 7), "i8", external=[("/etc/passwd", 0, 56)])
        data.attrs["shape"], data.attrs["dtype"] = np.array([1, 7]), "int64"
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "/call/attention_mask", "external storage")


def make_float(file, name, count, **storage):
    data = file.create_dataset(name, (count,), "f4", **storage)
    data.attrs["shape"], data.attrs["dtype"] = np.array([count]), "float32"
    return data


@pytest.mark.parametrize("unlimited", [False, True])
def test_virtual_dataset_opens_no_pipe(qconform, damaged, tmp_path, unlimited):
    """Opening the source would wait for its writer: the run ends, so it was not opened."""
    os.mkfifo(tmp_path / "source.h5")

    def change(file):
        del file["/model/weights/model.norm.weight"]
        most = h5py.h5s.UNLIMITED if unlimited else 48
        layout = h5py.VirtualLayout(shape=(48,), dtype="f4", maxshape=(None,) if unlimited else (48,))
        source = h5py.VirtualSource(tmp_path / "source.h5", "x", shape=(48,), maxshape=(None,) if unlimited else (48,))
        layout[0:most] = source[0:most]
        data = file.create_virtual_dataset("/model/weights/model.norm.weight", layout)
        data.attrs["shape"], data.attrs["dtype"] = np.array([48]), "float32"
    refused(qconform("diagnose", "--json", damaged(HEALTHY, change)), "model.norm.weight", "virtual storage")


def test_external_storage_prefix_of_the_environment(qconform, damaged):
    def change(file):
        del file["/model/weights/model.norm.weight"]
        make_float(file, "/model/weights/model.norm.weight", 3, external=[("passwd", 0, 12)])
    done = qconform("diagnose", "--json", damaged(HEALTHY, change), HDF5_EXTFILE_PREFIX="/etc")
    refused(done, "model.norm.weight", "external storage")


def test_plugin_of_the_environment_never_runs(qconform, damaged, tmp_path):
    """A folder of plug-ins in the environment: any library in it would run its constructor when a filter is looked for."""
    plugins, mark = tmp_path / "plugins", tmp_path / "ran"
    plugins.mkdir()
    (tmp_path / "canary.c").write_text(
        f'#include <stdio.h>\n__attribute__((constructor)) static void run(void) {{ fclose(fopen("{mark}", "w")); }}\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", plugins / "libcanary.so", tmp_path / "canary.c"], check=True)

    def change(file):
        del file["/model/weights/model.norm.weight"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((48,))
        plist.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
        weights = file["/model/weights"]
        made = h5py.h5d.create(weights.id, b"model.norm.weight", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((48,)), plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(48, "f4"))
        data = weights["model.norm.weight"]
        data.attrs["shape"], data.attrs["dtype"] = np.array([48]), "float32"
    path = damaged(HEALTHY, change)
    for verb in ("diagnose", "inspect"):
        done = qconform(verb, "--json", path, HDF5_PLUGIN_PATH=str(plugins), HDF5_PLUGIN_PRELOAD="")
        assert done.code == 3 and "a filter that is not read" in done.out
    assert not mark.exists()
    subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL('{plugins}/libcanary.so')"], check=True)
    assert mark.exists(), "the canary can sing"


def test_written_with_the_newest_format(qconform, tmp_path):
    """What libhdf5 1.10 cannot read of a newer one is refused with the advice how to write it."""
    name = "/model/weights/model.norm.weight"
    with h5py.File(HEALTHY) as old, h5py.File(tmp_path / "latest.h5", "w", libver="latest") as new:
        new.attrs.update(old.attrs)
        for group in old:
            old.copy(group, new)
        del new[name]
        new.create_dataset(name, data=old[name][()], chunks=(48,), compression="gzip").attrs.update(old[name].attrs)
    refused(qconform("diagnose", "--json", tmp_path / "latest.h5"), name, "newer than 1.10", "libver=('earliest', 'v110')")


@pytest.mark.parametrize("name", [path.name for path in sorted(FOREIGN.glob("qwen-v1-*.h5"))] or ["class"])
def test_model_outside_of_what_is_covered(qconform, damaged, name):
    def change(file):
        file["/model"].attrs["class"] = "LlamaForCausalLM"
    done = qconform("diagnose", "--json", damaged(HEALTHY, change))
    assert done.code == 4 and done.case["status"] == "SKIP" and "LlamaForCausalLM" in done.case["verdict"]


@pytest.mark.parametrize("peft_type", ["LORA", "IA3"])
def test_adapter_outside_of_what_is_covered(qconform, damaged, peft_type):
    def change(file):
        file["/adapter"].attrs["peft_type"] = peft_type
    done = qconform("diagnose", "--json", damaged(HEALTHY, change))
    assert done.code == 4 and done.case["status"] == "SKIP" and peft_type in done.case["verdict"]


def test_one_bad_file_among_others(qconform, tmp_path):
    (tmp_path / "bad.h5").write_text("x")
    done = qconform("diagnose", "--json", HEALTHY, tmp_path / "bad.h5")
    assert [case["status"] for case in done.document["cases"]] == ["PASS", "ERROR"] and done.code == 5
    done = qconform("diagnose", "--json", RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5", tmp_path / "bad.h5")
    assert done.code == 1
