"""An installed program works without its source tree, and leaves nothing behind when it is removed."""

import os
import re
import shutil
import subprocess

from conftest import FOREIGN, ROOT

RECORDING = FOREIGN / "qwen2-prompt-not-injected.h5"


def make(*words):
    subprocess.run(["make", "-s", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_installed_program_stands_alone(tmp_path):
    root, empty = tmp_path / "root", tmp_path / "empty"
    empty.mkdir()
    make("install", f"DESTDIR={root}", "PREFIX=/usr")
    shutil.copy(RECORDING, empty / "run.h5")
    program = root / "usr/bin/qconform"
    done = subprocess.run([program, "diagnose", "run.h5", "--html", "page.html"], cwd=empty, env={"PATH": os.environ["PATH"]},
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "prompt-not-injected" in done.stdout
    assert (empty / "page.html").read_text().endswith("</html>\n")
    assert ROOT.as_posix() not in (empty / "page.html").read_text()
    assert all((root / f"usr/share/qconform/{name}.schema.json").is_file() for name in ("result", "suite", "baseline"))
    assert (root / "usr/share/doc/qconform/LICENSE").is_file()


def test_installed_recorder_is_found(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    program = tmp_path / "usr/bin/qconform"
    done = subprocess.run([program, "record", "-v", "python3", "absent.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "absent.py: no such script" in done.stderr
    assert f"starting python3 {tmp_path}/usr/share/qconform/recorder/qconform_recorder absent.py" in done.stderr
    shutil.rmtree(tmp_path / "usr/share/qconform/recorder")
    done = subprocess.run([program, "record", "python3", "absent.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "there is no recorder beside this program" in done.stderr


def test_manual_has_every_verb(tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    program, page = tmp_path / "usr/local/bin/qconform", tmp_path / "usr/local/share/man/man1/qconform.1"
    text = subprocess.run([program, "help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    verbs = re.findall(r"^  ([a-z]+) ", text.split("exit status")[0], re.M)
    assert "diagnose" in verbs
    assert set(verb.upper() for verb in verbs) <= set(re.findall(r"^\.SH (\w+)$", page.read_text(), re.M))


def test_uninstall_leaves_nothing(tmp_path):
    make("install", f"DESTDIR={tmp_path / 'root'}")
    subprocess.run(["python3", tmp_path / "root/usr/local/share/qconform/recorder/qconform_recorder", "--help"], check=True,
                   stdout=subprocess.DEVNULL)
    make("uninstall", f"DESTDIR={tmp_path / 'root'}")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
