"""What a recording can make of the program: which folders it may name, and what holds on a kernel that confines less."""

import ctypes
import errno
import json
import os
import shutil
import subprocess

import pytest

from conftest import PROGRAM, RECORDINGS, ROOT, rows
from test_inputs import refused

IN_FOLDER = RECORDINGS / "qwen2-prompt-tf4.57.3-peft0.18.1.h5"
EMBEDDED = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
MODEL = ROOT / "fixtures/models/qwen2-tiny"
ADAPTER = ROOT / "fixtures/adapters/qwen2-tiny-prompt"


@pytest.fixture
def beside(tmp_path):
    """A recording in a folder of its own that names its weights as asked, with a model folder to change."""
    import h5py

    def make(model, adapter="adapter"):
        path = tmp_path / "run.h5"
        shutil.copy(IN_FOLDER, path)
        path.chmod(0o644)
        with h5py.File(path, "r+", libver=("earliest", "v110")) as file:
            file["/model"].attrs["weights"] = model
            file["/adapter"].attrs["weights"] = adapter
        return path
    shutil.copytree(ADAPTER, tmp_path / "adapter")
    return make


# ---- folders that a recording names ----

def test_relative_folders_are_opened(qconform, beside, tmp_path):
    shutil.copytree(MODEL, tmp_path / "model")
    for name in ("model", "./model", f"../{tmp_path.name}/model"):
        assert qconform("diagnose", "--json", beside(name)).case["status"] == "PASS"
    done = qconform("inspect", tmp_path / "run.h5")
    assert done.code == 0 and "diagnose judges it" in done.out


def test_absolute_folders_are_refused_unless_the_person_names_them(qconform, beside):
    refused(qconform("diagnose", "--json", beside(str(MODEL))), "run.h5", "/model@weights", "absolute", "--model DIR")
    assert qconform("diagnose", "--json", beside(str(MODEL)), "--model", MODEL).case["status"] == "PASS"
    path = beside("../x", str(ADAPTER))
    refused(qconform("diagnose", "--json", path, "--model", MODEL), "/adapter@weights", "--adapter DIR")
    assert qconform("diagnose", "--json", path, "--model", MODEL, "--adapter", ADAPTER).case["status"] == "PASS"


def test_control_characters_in_a_folder_name_are_refused(qconform, beside):
    done = qconform("diagnose", beside("mo\x1b[31mdel"))
    assert done.code == 3 and "control characters" in done.out and "\x1b" not in done.out + done.err


def test_link_out_of_a_named_folder(qconform, beside, tmp_path):
    """Else who made the recording would choose which file of this machine is read."""
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model/config.json").unlink()
    (tmp_path / "model/config.json").symlink_to("/etc/passwd")
    done = qconform("diagnose", "--json", beside("model"))
    refused(done, "model/config.json", "a link that leaves the folder", "--model DIR")


def test_download_cache(qconform, beside, tmp_path):
    """Its snapshots are links to blobs: they work whoever names the folder."""
    snapshot, blobs = tmp_path / "hub/models--q/snapshots/1", tmp_path / "hub/models--q/blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, name in enumerate(("config.json", "model.safetensors")):
        shutil.copy(MODEL / name, blobs / f"{number}")
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    assert qconform("diagnose", "--json", beside("hub/models--q/snapshots/1")).case["status"] == "PASS"
    assert qconform("diagnose", "--json", beside("none"), "--model", snapshot).case["status"] == "PASS"
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(os.path.relpath(snapshot / name, folder))
    refused(qconform("diagnose", "--json", beside("elsewhere")), "a link that leaves")
    assert qconform("diagnose", "--json", beside("none"), "--model", folder).case["status"] == "PASS"


def test_recording_may_be_a_link(qconform, tmp_path):
    (tmp_path / "run.h5").symlink_to(EMBEDDED)
    assert qconform("diagnose", "--json", tmp_path / "run.h5").case["status"] == "PASS"


# ---- kernels that lack something ----

SECCOMP = ctypes.CDLL("libseccomp.so.2", use_errno=True)
SECCOMP.seccomp_init.restype = ctypes.c_void_p
PR_SET_SECCOMP = 22


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def lacking(*pieces):
    """A function for the started process: takes system calls away, as an older kernel or a container does."""
    calls = {"landlock": b"landlock_create_ruleset", "seccomp": b"seccomp"}
    numbers = [SECCOMP.seccomp_syscall_resolve_name(calls[piece]) for piece in pieces]
    prctl = SECCOMP.seccomp_syscall_resolve_name(b"prctl")

    def take_away():
        allow, deny = 0x7fff0000, 0x00050000
        context = ctypes.c_void_p(SECCOMP.seccomp_init(ctypes.c_uint32(allow)))
        for number in numbers:
            SECCOMP.seccomp_rule_add(context, ctypes.c_uint32(deny | errno.ENOSYS), number, 0)
        if "seccomp" in pieces:
            equal = Compare(0, 4, PR_SET_SECCOMP, 0)
            SECCOMP.seccomp_rule_add_array(context, ctypes.c_uint32(deny | errno.EINVAL), prctl, 1, ctypes.byref(equal))
        if SECCOMP.seccomp_load(context) != 0:
            os._exit(99)
    return take_away


def run_lacking(pieces, *arguments):
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], cwd=ROOT, preexec_fn=lacking(*pieces), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode != 99
    return done


def without_varying(document):
    document.pop("created")
    for case in document["cases"]:
        case.pop("timing")
    return document["tool"].pop("sandbox"), document


def test_result_says_what_confined_the_workers(qconform):
    sandbox = qconform("diagnose", "--json", EMBEDDED).document["tool"]["sandbox"]
    assert set(sandbox) == {"landlock", "seccomp", "limits", "missing"}
    assert [name for name in ("landlock", "seccomp", "limits") if not sandbox[name]] == [text.split(":")[0] for text in sandbox["missing"]]


@pytest.mark.parametrize("pieces", [["landlock"], ["seccomp"], ["landlock", "seccomp"]])
def test_degraded_run_judges_the_same_and_says_so(qconform, pieces):
    files = [path for path, _ in rows()[::10]]
    done = run_lacking(pieces, "diagnose", "--json", *files)
    full = qconform("diagnose", "--json", *files)
    sandbox, document = without_varying(json.loads(done.stdout))
    _, expected = without_varying(full.document)
    assert document == expected and done.returncode == full.code
    assert [text.split(":")[0] for text in sandbox["missing"]] == pieces
    assert sandbox["limits"] and (sandbox["landlock"] == 0) == ("landlock" in pieces) and sandbox["seccomp"] == ("seccomp" not in pieces)
    notices = done.stderr.splitlines()
    assert len(notices) == len(pieces) and all("notice" in line and "qconform doctor" in line for line in notices)


def test_quiet_run_gives_no_notice():
    assert run_lacking(["landlock"], "diagnose", "-q", EMBEDDED).stderr == ""
    assert run_lacking(["landlock"], "inspect", EMBEDDED).stderr.count("notice") == 1


def test_doctor_says_what_to_do():
    done = run_lacking(["landlock", "seccomp"], "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0 and checks["sandbox limits"]["status"] == "ok"
    for name in ("sandbox landlock", "sandbox seccomp"):
        assert checks[name]["status"] == "missing" and checks[name]["advice"] and "could" in checks[name]["found"]


# ---- what is left behind ----

def test_worker_by_hand_answers_with_a_frame():
    """Under a debugger a worker is started so; it has no parent to follow."""
    task = json.dumps({"what": "inspect", "path": str(EMBEDDED)})
    done = subprocess.run([str(PROGRAM), "worker", task], stdout=subprocess.PIPE)
    assert done.returncode == 0 and done.stdout[:4] == b"QCF1"
    frame = json.loads(done.stdout[12:])
    assert frame["answer"]["schema"] == "qconform-inspect/1" and frame["sandbox"]["limits"]


@pytest.mark.parametrize("task", ["", "{}", "[]", "no json", '{"what": "fly", "path": "x"}', '{"what": "judge"}'])
def test_worker_refuses_what_is_no_task(task):
    assert subprocess.run([str(PROGRAM), "worker", task], stdout=subprocess.PIPE).returncode == 2
