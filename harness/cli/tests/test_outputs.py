"""Outputs that cannot be written: exit 74, the old file or the complete new one under the final name, nothing beside it."""

import os
import resource
import signal
import subprocess
import time

import pytest

from conftest import OPTIONS, PROGRAM, RECORDINGS, ROOT

BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
SAMPLE = ROOT / "reports" / "tests" / "failing.json"


def run(*arguments, user=None, **more):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PATH": "/nonexistent"}  # without gnuplot: the same, sooner
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run([str(PROGRAM), *map(str, arguments)], cwd=ROOT, env=environment, text=True, timeout=120, user=user,
                          extra_groups=[] if user else None, **more)


@pytest.fixture(params=OPTIONS)
def output(request, tmp_path):
    """An option, a folder with an old file, and what the new one must be."""
    class Output:
        option, folder, path = request.param, tmp_path / "out", tmp_path / "out" / "report.txt"

        def refused(self, done, content="old"):
            assert done.returncode == 74, done.stderr
            assert str(self.path) in done.stderr and done.stderr.count("\n") == 1
            assert [entry.name for entry in self.folder.iterdir()] == ([self.path.name] if content else [])
            assert not content or self.path.read_text() == content

    Output.folder.mkdir()
    Output.path.write_text("old")
    return Output()


def test_every_format_has_an_option():
    assert {"--json-out", "--html"} <= set(OPTIONS)


def test_new_file_is_complete_and_alone(output):
    assert run("report", SAMPLE, output.option, output.path).returncode == 0
    assert os.listdir(output.folder) == [output.path.name]
    first = output.path.read_text()
    assert len(first) > 200 and run("report", SAMPLE, output.option, output.path).returncode == 0 and output.path.read_text() == first


def test_full_device(output):
    done = run("report", SAMPLE, output.option, "/dev/full")
    assert done.returncode == 74 and "/dev/full: cannot be written: No space left on device; check" in done.stderr


def test_size_limit_leaves_the_old_file(output):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    output.refused(run("report", SAMPLE, output.option, output.path, preexec_fn=limit))


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system takes root")
def test_full_disk_leaves_the_old_file(output):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", output.folder], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this machine allows no mount")
    try:
        output.path.write_text("old")
        output.refused(run("report", SAMPLE, output.option, output.path))
    finally:
        subprocess.run(["umount", output.folder], check=True)


def test_read_only_folder_leaves_the_old_file(output, tmp_path):
    """Root may write everywhere, so root tries it as nobody."""
    root = os.getuid() == 0
    output.folder.chmod(0o555)
    if root:
        for folder in [tmp_path, *tmp_path.parents][:3]:
            folder.chmod(0o755)
    probe = subprocess.run(["test", "-x", PROGRAM, "-a", "-r", SAMPLE], user="nobody" if root else None, extra_groups=[] if root else None)
    if probe.returncode:
        pytest.skip("the checkout cannot be read by nobody")
    done = run("report", SAMPLE, output.option, output.path, user="nobody" if root else None)
    output.folder.chmod(0o755)
    output.refused(done)


def test_folder_that_is_not_there(output, tmp_path):
    done = run("report", SAMPLE, output.option, tmp_path / "no" / "report")
    assert done.returncode == 74 and "no/report" in done.stderr and not (tmp_path / "no").exists()


def test_link_stays_and_its_file_is_replaced(output, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(output.path)
    assert run("report", SAMPLE, output.option, link).returncode == 0
    assert link.is_symlink() and output.path.read_text() != "old"


def test_standard_output_by_its_name_is_written_in_place(output):
    """`--json-out /dev/stdout > file` writes that file and leaves /dev/stdout what it is."""
    with open(output.path, "w") as out:
        done = run("report", SAMPLE, output.option, "/dev/stdout", "-q", stdout=out)
    assert done.returncode == 0 and os.path.islink("/dev/stdout") and len(output.path.read_text()) > 200


def test_new_file_has_the_usual_mode(output):
    for mask, mode in (0o022, 0o644), (0o077, 0o600):
        output.path.unlink()
        assert run("report", SAMPLE, output.option, output.path, preexec_fn=lambda: os.umask(mask)).returncode == 0
        assert output.path.stat().st_mode & 0o777 == mode


# ---- standard output ----

VERBS = [("help",), ("help", "diagnose"), ("version",), ("version", "--json"), ("inspect", BAD), ("inspect", "--json", BAD),
         ("report", SAMPLE), ("report", "--json", SAMPLE), ("diagnose", BAD), ("diagnose", "--json", BAD), ("doctor",)]
named = pytest.mark.parametrize("arguments", VERBS, ids=lambda words: " ".join(str(word).rsplit("/", 1)[-1] for word in words))


@named
def test_full_standard_output_is_said(arguments):
    with open("/dev/full", "w") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 74 and "No space left" in done.stderr


@named
def test_closed_standard_output_is_said(arguments):
    done = run(*arguments, preexec_fn=lambda: os.close(1))
    assert done.returncode == 74 and "cannot be written" in done.stderr


@named
def test_closed_pipe_ends_quietly(arguments):
    """`qconform … | head -1`: the reader has gone, so there is nobody to tell."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*arguments, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (74, "")


def test_closed_standard_error_changes_nothing(tmp_path):
    for stderr_is in (lambda: os.close(2)), (lambda: [os.close(fd) for fd in (0, 2)]):
        page = tmp_path / "page.html"
        done = run("diagnose", BAD, "--html", page, "--progress", "plain", preexec_fn=stderr_is)
        assert done.returncode == 1 and page.read_text().endswith("</html>\n")
        page.unlink()
    assert run("diagnose", "/nonexistent.h5", preexec_fn=lambda: os.close(2)).returncode == 3


def test_all_descriptors_closed_still_write_the_files(tmp_path):
    page, result = tmp_path / "page.html", tmp_path / "result.json"
    done = run("diagnose", BAD, "--html", page, "--json-out", result, preexec_fn=lambda: os.closerange(0, 3))
    assert done.returncode == 74  # the terminal's report is lost, and that is said
    assert page.read_text().startswith("<!") and page.read_text().endswith("</html>\n") and result.read_text().endswith("}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_no_half_file(tmp_path, number):
    """At whatever moment it comes, the folder holds nothing but complete files."""
    for delay in (0.005, 0.02, 0.05, 0.1, 0.2, 0.3):
        child = subprocess.Popen([str(PROGRAM), "diagnose", str(BAD), "--html", tmp_path / "page.html"], cwd=ROOT,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        child.send_signal(number)
        assert child.wait(timeout=60) in (-number, 128 + number, 1)
        assert {entry.name for entry in tmp_path.iterdir()} <= {"page.html"}
        assert not (tmp_path / "page.html").exists() or (tmp_path / "page.html").read_text().endswith("</html>\n")
