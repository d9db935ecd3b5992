"""record: how a command is read, what is started, what is refused. A stand-in for Python says what it was given; the recorder
itself is tried in fixtures/recorder/tests, and against the real libraries in test_live.py."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import PROGRAM, ROOT

RECORDER = str(ROOT / "fixtures" / "recorder" / "qconform_recorder")


@pytest.fixture
def place(tmp_path):
    """A folder with stand-ins for Python and some programs; gives a function that records there."""
    def put(name, text, mode=0o755):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    echo = "#!/bin/sh\nfor word in \"$0\" \"$@\"; do printf '%s\\n' \"$word\"; done\nexit 42\n"
    for name in ("bin/python", "bin/python3", "bin/python3.11", "env/python3"):
        put(name, echo)
    env = tmp_path / "env"
    put("bin/console", f"#!{env}/python3 -E\n")
    put("bin/by-env", "#!/usr/bin/env -S python3 -u\n")
    put("bin/long", f"#!/bin/sh\n'''exec' \"{env}/python3\" \"$0\" \"$@\"\n' '''\n")
    put("bin/shell", "#!/bin/sh\npython3 script.py\n")
    put("script.py", "import torch\n", 0o644)
    put("with-line.py", "#!/usr/bin/python3.11\n")
    variables = {**os.environ, "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}

    def record(*words, options=()):
        done = subprocess.run([str(PROGRAM), "record", *options, "--", *words], cwd=tmp_path, env=variables, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        shown = done.stdout.replace(str(tmp_path) + "/", "").replace(RECORDER, "RECORDER").splitlines()
        return done.returncode, shown, done.stderr
    return record


@pytest.mark.parametrize("command, started", [
    ("python script.py -x --out y", "bin/python RECORDER script.py -x --out y"),
    ("python3.11 -u -W error script.py", "bin/python3.11 -u -W error RECORDER script.py"),
    ("env/python3 -X utf8 -m package.part -m a", "env/python3 -X utf8 RECORDER -m package.part -m a"),
    ("env/python3 -um package", "env/python3 -u RECORDER -m package"),
    ("python -Impackage a", "bin/python -I RECORDER -m package a"),
    ("python -Werror -c pass a", "bin/python -Werror RECORDER -c pass a"),
    ("python --check-hash-based-pycs never -- script.py", "bin/python --check-hash-based-pycs never RECORDER script.py"),
    ("script.py a", "bin/python3 RECORDER script.py a"),
    ("./script.py -m a", "bin/python3 RECORDER ./script.py -m a"),
    ("console --tasks copa", "env/python3 -E RECORDER bin/console --tasks copa"),
    ("by-env a", "bin/python3 -u RECORDER bin/by-env a"),
    ("bin/long a", "env/python3 RECORDER bin/long a"),
])
def test_a_command_is_started_with_the_recorder_in_it(place, command, started):
    code, words, error = place(*command.split())
    assert (code, " ".join(words), error) == (42, started, "")


@pytest.mark.parametrize("command, said", [
    ("", "name the program to record"),
    ("python", "python reads its program from standard input"),
    ("python -u -", "python reads its program from standard input"),
    ("python -V", "with -V the interpreter runs no program"),
    ("python -m", "with -m the interpreter runs no program"),
    ("python --help", "with --help the interpreter runs no program"),
    ("absent", "there is no program absent in PATH nor in this folder"),
    ("./absent.py", "there is no program ./absent.py;"),
    ("shell", "shell is no Python program; write qconform record directly before the Python program that it starts: shell …"),
    ("/bin/ls", "/bin/ls is no Python program"),
    ("env/absent/python x.py", "env/absent/python cannot be started: No such file or directory"),
    ("torchrun script.py", "torchrun --no-python … sh -c 'qconform record -o run-${RANK:-0}.h5 -- python script.py …'"),
    ("env/bin/accelerate launch script.py", "accelerate launch --no_python …"),
    ("python -m torch.distributed.run script.py", "torch.distributed.run starts the program in other processes"),
])
def test_what_is_no_python_program_is_refused(place, command, said):
    code, words, error = place(*command.split())
    assert (code, words) == (2, []) and said in error and len(error.splitlines()) == 1


def test_options_of_the_recorder_are_passed_on_and_those_behind_the_command_are_left(place):
    options = ["-o", "-x.h5", "--level", "shapes", "--force", "--logits-rows", "-1", "--max-size", ""]
    assert " ".join(place("python", "script.py", "--level", "9", options=options)[1]) == (
        "bin/python RECORDER --force --level=shapes --max-size= --logits-rows=-1 --out=-x.h5 script.py --level 9")


def test_the_command_that_is_started_is_said(place):
    words = place("python", "-c", "print('it')", options=["-v"])[2]
    assert words == f"qconform: starting python {RECORDER} -c 'print('\\''it'\\'')'\n"


def test_two_dashes_may_be_left_out(qconform):
    done = qconform("record", "python", "-V", "--no-such-option")
    assert done.code == 2 and "with -V" in done.err


def test_an_unknown_option_is_said_with_the_nearest(qconform):
    done = qconform("record", "--levl", "shapes", "--", "python", "script.py")
    assert done.code == 2 and "did you mean --level?" in done.err


def test_help_lists_the_options_of_the_recorder(qconform):
    done = subprocess.run([sys.executable, RECORDER, "--help"], stdout=subprocess.PIPE, text=True, check=True)
    theirs = set(re.findall(r"^  --([a-z-]+)", done.stdout, re.M)) - {"help", "out"}
    ours = set(re.findall(r"^ +--([a-z-]+)", qconform("help", "record").out, re.M)) - {"color", "progress"}
    assert theirs == ours and "level" in ours


def test_packages_that_are_missing_are_said_before_the_program_starts(tmp_path):
    (tmp_path / "script.py").write_text("print('started')\n")
    done = subprocess.run([str(PROGRAM), "record", sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stdout == "" and not (tmp_path / "run.h5").exists()
    assert re.search(r"has no torch, .*; install with: .* -m pip install torch", done.stderr)


def test_a_recording_that_is_there_stays(tmp_path):
    (tmp_path / "run.h5").write_text("precious")
    (tmp_path / "script.py").write_text("print('started')\n")
    done = subprocess.run([str(PROGRAM), "record", sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "run.h5: is there already" in done.stderr and done.stdout == ""
    assert (tmp_path / "run.h5").read_text() == "precious"


def test_doctor_names_the_recorder(qconform):
    row = [check for check in qconform("doctor", "--json").document["checks"] if check["name"] == "recorder"][0]
    assert row["status"] == "ok" and RECORDER in row["found"] and pathlib.Path(RECORDER).is_dir()
