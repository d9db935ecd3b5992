"""A run of suites gives the same result however many workers it has, however often it is killed, and says what went wrong."""

import errno
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import PROGRAM, RECORDINGS, ROOT, check_result

CHEAP = {  # file without suffix -> causes that are known; none: it conforms
    "qwen1.5-prompt-static-tf5.23.0-peft0.21.2": [],
    "qwen2-prompt-tf4.42.4-peft0.11.1": [],
    "qwen2.5-prefix-transposed-shapes-tf4.57.3-peft0.18.1": [],
    "qwen3-prefix-shapes-tf4.57.1-peft0.17.1": [],
    "qwen2.5-ptuning-lstm-tf4.46.3-peft0.14.0": [],
    "qwen2.5-prefix-right-forward-tf5.15.0-peft0.20.0": [],
    "qwen1.5-prefix-tf4.51.3-peft0.15.2": [],
    "qwen2.5-ptuning-encoder-tf4.57.3-peft0.18.1": [],
}
SLOW = "qwen2.5-base-low-precision-float16-tf5.23.0-peft0.21.2"
for row in json.loads((ROOT / "fixtures" / "recordings.json").read_text())["recordings"]:
    if row["file"][:-3] in CHEAP and row["expected"]["status"] == "FAIL":
        CHEAP[row["file"][:-3]] = row["expected"].get("causes") or [row["expected"]["cause"]]
FAILING = [name for name, causes in CHEAP.items() if causes]


def block(name, **more):
    return {"id": f"cheap/{name}", "requirement": "It conforms.", "source": "its library", "recording": f"{name}.h5", **more}


def write_suite(folder, names, baseline=None, **more):
    """A suite of copies of these recordings, of which a test may change any."""
    folder.mkdir(exist_ok=True)
    for weights in ("models", "adapters"):  # which the recordings name as ../models and ../adapters
        if not (folder.parent / weights).exists():
            (folder.parent / weights).symlink_to(RECORDINGS.parent / weights)
    for name in names:
        if not (folder / f"{name}.h5").exists():
            shutil.copy(RECORDINGS / f"{name}.h5", folder)
    suite = {"schema": "qconform-suite/1", "title": "cheap ones", "cases": [block(name, **more.get(name, {})) for name in names]}
    if baseline is not None:
        suite["baseline"] = "baseline.json"
        entries = [{"id": f"cheap/{name}", "causes": causes} for name, causes in baseline.items()]
        (folder / "baseline.json").write_text(json.dumps({"schema": "qconform-baseline/1", "cases": entries}))
    (folder / "suite.json").write_text(json.dumps(suite))
    return folder


@pytest.fixture
def suite(tmp_path):
    return write_suite(tmp_path / "suite", CHEAP, {name: causes for name, causes in CHEAP.items() if causes})


@pytest.fixture
def slow(tmp_path):
    """One case that takes a second or more, then three cheap ones."""
    return write_suite(tmp_path / "slow", [SLOW, *list(CHEAP)[:3]])


def start(*arguments, **more):
    return subprocess.Popen([str(PROGRAM), "run", *map(str, arguments)], cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
                            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more})


def run(*arguments, code=None):
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    assert code is None or process.returncode == code, (process.returncode, out[-2000:], err[-2000:])
    return process.returncode, out, err


def result(folder):
    text = (folder / "result.json").read_text()
    check_result(text)
    return json.loads(text)


def essence(folder):
    """What must be the same each time."""
    document = result(folder)
    for key in ("created", "command"):
        del document[key]
    del document["tool"]["threads"]
    for case in document["cases"]:
        del case["timing"]
    return document


def statuses(folder):
    return {case["id"].partition("/")[2]: case["status"] for case in result(folder)["cases"]}


def workers_of(folder):
    """Process numbers of living workers that read something below the folder, with what they were asked."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if len(words) > 2 and words[1] == b"worker" and str(folder).encode() in words[2]:
            found[int(entry.name)] = words[2].decode()
    return found


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.002)
    raise AssertionError("it did not come")


def slow_worker(folder):
    """The slow case's worker, once it plays (the second of its turns has more rights and may come at any time)."""
    return wait_for(lambda: [pid for pid, task in workers_of(folder).items() if SLOW in task])[0]


def ends(folder):
    lines = [json.loads(line[9:]) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [line["id"] for line in lines if line["kind"] == "end"]


@pytest.fixture
def whole(suite, tmp_path):
    """The result of a run that nothing disturbed."""
    run(suite, "--out", tmp_path / "whole", "-j", 1, code=0)
    return essence(tmp_path / "whole")


def test_known_failures_are_expected_ones(suite, tmp_path):
    _, out, err = run(suite, "--out", tmp_path / "out", code=0)
    found = statuses(tmp_path / "out")
    assert found == {name: "XFAIL" if causes else "PASS" for name, causes in CHEAP.items()}
    assert list(found) == list(CHEAP)
    assert err.count("\n") == len(CHEAP) and f"[{len(CHEAP)}/{len(CHEAP)}]" in err
    assert str(tmp_path / "out" / "result.json") in out


def test_one_worker_and_two_give_the_same(suite, tmp_path, whole):
    run(suite, "--out", tmp_path / "two", "-j", 2, code=0)
    assert essence(tmp_path / "two") == whole


def test_a_finished_run_is_not_judged_again(suite, tmp_path, whole):
    before = ends(tmp_path / "whole")
    run(suite, "--out", tmp_path / "whole", "--resume", "-j", 2, code=0)
    assert essence(tmp_path / "whole") == whole and ends(tmp_path / "whole") == before


def test_killed_at_any_point_it_goes_on_to_the_same_result(suite, tmp_path, whole):
    out, chance = tmp_path / "out", random.Random(7)
    for _ in range(15):
        process = start(suite, "--out", out, "--resume", "-j", chance.choice((1, 2)), stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.25))
        process.kill()
        process.wait()
        wait_for(lambda: not workers_of(suite), 5)
    run(suite, "--out", out, "--resume", code=0)
    assert essence(out) == whole
    assert sorted(ends(out)) == sorted(f"cheap/{name}" for name in CHEAP), "each is judged to its end once"


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(slow, tmp_path, number, code):
    out = tmp_path / "out"
    process = start(slow, "--out", out, "-j", 1, "--html", tmp_path / "r.html")
    slow_worker(slow)
    os.killpg(process.pid, number)  # as a terminal does, and a scheduler: the workers get it too
    _, err = process.communicate(timeout=30)
    assert process.returncode == code and not workers_of(slow)
    assert result(out)["exit"]["code"] == code and set(statuses(out).values()) == {"NOTRUN"}
    assert "NOTRUN" in (tmp_path / "r.html").read_text()
    assert "4 of 4 cases were not judged" in err and "with --resume goes on" in err
    run(slow, "--out", out, "--resume", code=1)
    assert "NOTRUN" not in statuses(out).values() and result(out)["exit"]["code"] == 1


def test_the_line_that_goes_on_can_be_typed(tmp_path):
    folder = write_suite(tmp_path / "it's a folder", [SLOW])
    process = start(folder, "--out", tmp_path / "out", "--fail-fast")
    slow_worker(folder.name)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    line = re.search(r"^next +qconform (run .* --resume)$", out, re.M).group(1)
    assert "--fail-fast" not in line
    done = subprocess.run(f"'{PROGRAM}' {line}", shell=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 1, done.stdout


def test_a_second_signal_ends_it_at_once(slow, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody reads: writing the result there takes for ever
    process = start(slow, "--out", tmp_path / "out", "-j", 1, "--json-out", pipe)
    slow_worker(slow)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: (tmp_path / "out" / "result.json").exists())
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == -signal.SIGINT


def test_only_one_run_works_in_a_folder(slow, tmp_path):
    first = start(slow, "--out", tmp_path / "out", "-j", 1)
    worker = slow_worker(slow)
    os.kill(worker, signal.SIGSTOP)
    for more in ([], ["--resume"]):
        _, _, err = run(slow, "--out", tmp_path / "out", *more, code=74)
        assert f"process {first.pid} on" in err and "another --out" in err
    os.kill(worker, signal.SIGCONT)
    first.communicate(timeout=60)
    assert first.returncode == 1 and len(result(tmp_path / "out")["cases"]) == 4


def test_a_worker_that_is_killed_costs_its_case_alone(slow, tmp_path):
    process = start(slow, "--out", tmp_path / "out")
    os.kill(slow_worker(slow), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    found = statuses(tmp_path / "out")
    assert found.pop(SLOW) == "CRASH" and set(found.values()) <= {"PASS", "FAIL"} and "signal 9" in err


def test_a_worker_that_hangs_is_a_timeout(tmp_path):
    folder = write_suite(tmp_path / "slow", [SLOW, *list(CHEAP)[:3]], **{SLOW: {"timeout": "1.5s"}})
    process = start(folder, "--out", tmp_path / "out", "--timeout", "5m")
    os.kill(slow_worker(folder), signal.SIGSTOP)
    process.communicate(timeout=60)
    found = statuses(tmp_path / "out")
    assert found.pop(SLOW) == "TIMEOUT" and set(found.values()) <= {"PASS", "FAIL"} and not workers_of(folder)


def test_the_limit_of_the_run_holds_where_a_case_has_none(tmp_path):
    folder = write_suite(tmp_path / "slow", [SLOW])
    run(folder, "--out", tmp_path / "out", "--timeout", "10ms", code=5)
    assert statuses(tmp_path / "out") == {SLOW: "TIMEOUT"}
    run(folder, "--out", tmp_path / "out", "--timeout", "10ms", "--resume", code=5)
    assert len(ends(tmp_path / "out")) == 1
    run(folder, "--out", tmp_path / "out", "--timeout", "5m", "--resume", code=1)
    assert statuses(tmp_path / "out") == {SLOW: "FAIL"}


@pytest.mark.parametrize("jobs", [1, 4])
def test_fail_fast_stops_at_the_same_case_with_any_number_of_workers(suite, tmp_path, jobs):
    run(suite, "--out", tmp_path / "out", "--baseline", "none", "--fail-fast=2", "-j", jobs, code=1)
    last = list(CHEAP).index(FAILING[1])
    assert list(statuses(tmp_path / "out").values())[last + 1:] == ["NOTRUN"] * (len(CHEAP) - last - 1)
    assert list(statuses(tmp_path / "out").values())[:last + 1].count("FAIL") == 2
    run(suite, "--out", tmp_path / "out", "--resume", code=0)
    assert "NOTRUN" not in statuses(tmp_path / "out").values()


def test_a_baseline_that_is_not_met_any_more_is_said(suite, tmp_path):
    healthy = next(name for name, causes in CHEAP.items() if not causes)
    known = {name: CHEAP[name] for name in FAILING}
    write_suite(suite, CHEAP, {**known, healthy: ["prompt-not-injected"]})
    run(suite, "--out", tmp_path / "stale", code=6)
    assert statuses(tmp_path / "stale")[healthy] == "XPASS"
    write_suite(suite, CHEAP, {**known, FAILING[0]: ["rope-base-wrong"]})
    run(suite, "--out", tmp_path / "stale", "--resume", code=1)  # what was judged holds, whatever is expected of it
    assert statuses(tmp_path / "stale")[FAILING[0]] == "CHANGED" and len(ends(tmp_path / "stale")) == len(CHEAP)


def test_a_baseline_that_was_written_is_met(suite, tmp_path):
    known = tmp_path / "known.json"
    run(suite, "--out", tmp_path / "out", "--baseline", "none", "--write-baseline", known, code=1)
    assert {entry["id"].partition("/")[2] for entry in json.loads(known.read_text())["cases"]} == set(FAILING)
    run(suite, "--out", tmp_path / "out", "--baseline", known, "--resume", code=0)


def test_a_baseline_of_half_a_run_is_not_written(suite, tmp_path):
    known = tmp_path / "known.json"
    _, _, err = run(suite, "--out", tmp_path / "out", "--baseline", "none", "--fail-fast", "--write-baseline", known, code=74)
    assert not known.exists() and "not judged" in err and "--resume" in err


def test_a_recording_that_changed_is_judged_again(suite, tmp_path):
    run(suite, "--out", tmp_path / "out", code=0)
    failing, healthy = FAILING[0], next(name for name, causes in CHEAP.items() if not causes)
    shutil.copy(suite / f"{failing}.h5", suite / f"{healthy}.h5")
    _, _, err = run(suite, "--out", tmp_path / "out", "--resume", code=1)
    assert statuses(tmp_path / "out")[healthy] == "FAIL" and f"{healthy}.h5: has changed" in err
    assert len(ends(tmp_path / "out")) == len(CHEAP) + 1


def test_a_journal_of_something_else_is_refused_until_a_run_begins_anew(suite, tmp_path):
    out = tmp_path / "out"
    run(suite, "--out", out, "--filter", "*prefix*", code=0)
    before = (out / "result.json").read_bytes()
    _, _, err = run(suite, "--out", out, "--resume", code=3)
    assert "belongs to another run" in err and "--filter" in err
    assert (out / "result.json").read_bytes() == before
    text = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(text.replace(b'"kind":"end"', b'"kind":"eNd"', 1))
    _, _, err = run(suite, "--out", out, "--filter", "*prefix*", "--resume", code=3)
    assert "is damaged at line" in err
    run(suite, "--out", out, code=0)


def test_an_unfinished_run_is_replaced_with_a_word(suite, tmp_path):
    run(suite, "--out", tmp_path / "out", "--baseline", "none", "--fail-fast", "-j", 1, code=1)
    _, _, err = run(suite, "--out", tmp_path / "out", code=0)
    assert re.search(rf"notice: .*an unfinished run \(\d+ of {len(CHEAP)} cases judged\) is replaced", err)


def test_a_dry_run_knows_what_is_judged_and_writes_nothing(suite, tmp_path):
    out = tmp_path / "out"
    run(suite, "--out", out, "--baseline", "none", "--fail-fast", "-j", 1, code=1)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    _, text, _ = run(suite, "--out", out, "--resume", "--dry-run", code=0)
    assert f"{len(ends(out))} of them are judged already" in " ".join(text.split())
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    run(suite, "--out", tmp_path / "none", "--dry-run", code=0)
    assert not (tmp_path / "none").exists()


def test_shards_have_folders_of_their_own_and_every_case_once(suite, tmp_path):
    seen = []
    for index in (1, 2, 3):
        run(suite, "--out", tmp_path / "out", "--shard", f"{index}/3", code=0)
        seen += statuses(tmp_path / "out" / f"shard-{index}-of-3")
    assert sorted(seen) == sorted(CHEAP)


def test_a_folder_that_cannot_be_written_is_said_before_any_work(suite, tmp_path):
    (tmp_path / "file").write_text("")
    _, _, err = run(suite, "--out", tmp_path / "file" / "out", code=74)
    assert "cannot be made" in err and "[" not in err


def test_a_full_disk_ends_the_run_and_loses_nothing(suite, tmp_path, whole):
    out = tmp_path / "out"
    command = f"ulimit -f 100; exec '{PROGRAM}' run '{suite}' --out '{out}' -j 1"  # KiB
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 74 and "journal.jsonl" in done.stderr and "--resume" in done.stderr, done.stderr
    assert 0 < len(ends(out)) < len(CHEAP)
    run(suite, "--out", out, "--resume", code=0)
    assert essence(out) == whole and len(ends(out)) == len(CHEAP)


@pytest.mark.parametrize("call, reason", [("fsync", errno.EIO), ("write", errno.ENOSPC), ("write", "short"), ("fsync", errno.EINTR)])
def test_what_did_not_reach_the_disk_does_not_count(tmp_path, library, call, reason):
    folder = write_suite(tmp_path / "suite", list(CHEAP)[3:6])
    run(folder, "--out", tmp_path / "whole", code=1)
    whole, codes = essence(tmp_path / "whole"), set()
    for at in (2, 5, 8, 11):
        out = tmp_path / f"out{at}"
        environment = {**os.environ, "LD_PRELOAD": str(library), "FAULT_CALL": call, "FAULT_AT": str(at),
                       "FAULT_SHORT": str(int(reason == "short")), "FAULT_ERRNO": str(0 if reason == "short" else reason)}
        process = start(folder, "--out", out, "-j", 1, "-q", "--resume", env=environment)
        _, err = process.communicate(timeout=60)
        codes.add(process.returncode)
        assert process.returncode == 1 or (process.returncode == 74 and "cannot be" in err), (at, process.returncode, err)
        found = {case["id"] for case in result(out)["cases"] if case["status"] != "NOTRUN"} if (out / "result.json").exists() else set()
        assert not out.exists() or found <= set(ends(out)), at
        run(folder, "--out", out, "--resume", code=1)
        assert essence(out) == whole, at
    assert (74 in codes) == (reason in (errno.EIO, errno.ENOSPC))


def test_quiet_says_the_closing_lines_alone(suite, tmp_path):
    for word in (["-q"], ["--progress", "none"]):
        _, out, err = run(suite, "--out", tmp_path / "out", *word, code=0)
        assert not err and out


def test_a_terminal_shows_a_bar_and_unexpected_failures_as_they_come(suite, tmp_path):
    master, terminal = pty.openpty()
    process = start(suite, "--out", tmp_path / "out", "--baseline", "none", stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:
        pass
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(rb"\[[#-]+\]  \d+/\d+  [\d.]+/[\d.]+ [KM]iB", shown)
    lines = [line for line in shown.replace(b"\r\x1b[K", b"\n").splitlines() if line.startswith(b"[") and b"] FAIL" in line]
    assert len(lines) == len(FAILING)


def test_a_signal_asks_what_runs(slow, tmp_path):
    process = start(slow, "--out", tmp_path / "out", "-q", "-j", 1)
    slow_worker(slow)
    os.killpg(process.pid, signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    assert re.search(rf"0 of 4 judged; running: cheap/{re.escape(SLOW)} \(\d+s\)", err)
    assert "CRASH" not in statuses(tmp_path / "out").values()
