"""What CI systems read: JUnit, TAP, GitHub and Markdown, each held against its own rules and against the others."""

import collections
import copy
import html
import itertools
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import PROGRAM, RECORDINGS, ROOT

SAMPLES = ROOT / "reports" / "tests"
SCHEMA = ROOT / "reports" / "junit.xsd"
BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
HOSTILE = ["<script>alert(1)</script>", "]]>", "<![CDATA[x]]>", "&#0;", "&", "\"", "'", "\x1b[31mred\x1b[0m", "\x00"[:0], "\x07\x08\x7f",
           "line\nfeed\r\ntab\t", "::error::x", "\n::stop-commands::x\n", "##[error]x", "%0A::error::x", "Bail out! x", "\nBail out!\n",
           "# TODO x", "x # SKIP", "\\# TODO", "\\", "1..99", "not ok 1", "  ---\n  x: [", "```", "`", "``` \n# h", "| a | b |", "<!-- x",
           "[a](javascript:x)", "![x](//e.x)", "<https://e.x>", "https://e.x/\"><b>", "@team", "*a* _b_", "\u202e x \u2066", "\u2028",
           "\ufeff\u200b", "\uffff", "令牌 🙂", "$(x) `x`", "../../x", "", "a/b/c", "/", "a.b/c", "x" * 65536]


def sample(name):
    document = json.loads((SAMPLES / f"{name}.json").read_text())
    lacking = {"causes": [], "findings": [], "sites": [], "environment": {}, "timing": {"seconds": 0},
               "coverage": {"expected": 0, "compared": 0, "missing": 0, "waived": 0, "blind": []}}
    for case in document["cases"]:
        for key, value in lacking.items():
            case[key] = value if case.get(key) is None else case[key]
        for key in ("recording_sha256", "model", "adapter", "cause", "first_divergence", "last_good", "consequence"):
            case.setdefault(key, None)
        if case["cause"]:
            case["cause"]["upstream"] = [url for url in case["cause"]["upstream"] if url.startswith("https://")]
    return document


def of_cases(cases):
    document = sample("statuses")
    document["cases"] = cases
    return document


def hostile():
    """Each status once with each hostile string in every free text."""
    def spoil(node, text, key=None):
        if isinstance(node, dict):
            return {k: spoil(v, f"https://{text}" if k == "upstream" else text, k) for k, v in node.items()}
        if isinstance(node, list):
            return [spoil(v, text, key) for v in node]
        free = isinstance(node, str) and key not in ("status", "kind", "confidence", "severity", "outcome", "recording_sha256", "ratio")
        return (text or "x" if key in ("id", "site", "title", "remedy", "verdict") else text) if free else node
    statuses = sample("statuses")["cases"]
    return of_cases([spoil(copy.deepcopy(case), text) for case, text in zip(itertools.cycle(statuses), HOSTILE + HOSTILE[:7])])


DOCUMENTS = {name: (lambda name=name: sample(name))
             for name in ("healthy", "failing", "raised", "several", "error", "compare", "statuses")}
DOCUMENTS |= {"hostile": hostile, "empty": lambda: of_cases([])}


@pytest.fixture(scope="module", params=DOCUMENTS)
def rendered(request, tmp_path_factory):
    """A document, and what each format makes of it."""
    class Rendered:
        folder = tmp_path_factory.mktemp(request.param)
        document = DOCUMENTS[request.param]()
        cases = document["cases"]
    path = Rendered.folder / "result.json"
    path.write_text(json.dumps(Rendered.document))
    files = {name: Rendered.folder / f"report.{name}" for name in ("xml", "tap", "tap13", "md", "html")}
    summary = Rendered.folder / "summary"
    options = ["--junit", files["xml"], "--tap", files["tap"], "--tap13", files["tap13"], "--md", files["md"], "--html", files["html"]]
    done = subprocess.run([str(PROGRAM), "report", str(path), "--github", *map(str, options)], cwd=Rendered.folder, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={"PATH": "/nonexistent", "GITHUB_STEP_SUMMARY": str(summary)}, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    Rendered.terminal = done.stdout
    Rendered.summary = summary.read_text()
    for name, file in files.items():
        setattr(Rendered, name, file)
    return Rendered


def shown(text):
    """How the terminal spells what cannot be seen; enough for the texts of the well-behaved documents."""
    return re.sub(r"\s+", " ", text).strip()


# ---- JUnit ----

def validates(path, schema=SCHEMA):
    return subprocess.run(["xmllint", "--nonet", "--noout", "--schema", str(schema), str(path)], stderr=subprocess.PIPE, text=True)


OUTCOMES = {"PASS": None, "FAIL": "failure", "CHANGED": "failure", "XPASS": "failure", "ERROR": "error", "TIMEOUT": "error",
            "CRASH": "error", "NOTRUN": "error", "SKIP": "skipped", "XFAIL": "skipped"}


def test_junit_keeps_its_schema(rendered):
    done = validates(rendered.xml)
    assert done.returncode == 0, done.stderr[:2000]


def test_junit_counts_its_cases(rendered):
    root = xml.etree.ElementTree.parse(rendered.xml).getroot()
    suites = root.findall("testsuite")
    assert [len(suite.findall("testcase")) for suite in suites] == [int(suite.get("tests")) for suite in suites]
    for suite in suites:
        for kind in ("failure", "error", "skipped"):
            attribute = {"failure": "failures", "error": "errors"}.get(kind, kind)
            assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{kind}"))
        assert float(suite.get("time")) == pytest.approx(sum(float(case.get("time")) for case in suite.findall("testcase")), abs=1e-6)
    for attribute in ("tests", "failures", "errors"):
        assert int(root.get(attribute)) == sum(int(suite.get(attribute)) for suite in suites)
    found = collections.Counter(child.tag for case in root.iter("testcase") for child in case)
    assert found == collections.Counter(filter(None, (OUTCOMES[case["status"]] for case in rendered.cases)))


def test_junit_bodies_are_short(rendered):
    root = xml.etree.ElementTree.parse(rendered.xml).getroot()
    assert all(len((child.text or "").encode()) <= 8192 for case in root.iter("testcase") for child in case)


def test_junit_tells_each_status(tmp_path):
    """By id: classname and name, element, type and message."""
    subprocess.run([str(PROGRAM), "report", str(SAMPLES / "statuses.json"), "-q", "--junit", str(tmp_path / "r.xml")], check=True,
                   stdout=subprocess.DEVNULL)
    cases = {f"{case.get('classname').replace('.', '/')}/{case.get('name')}": case
             for case in xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot().iter("testcase")}
    for case in sample("statuses")["cases"]:
        children = list(cases[case["id"]])
        assert [child.tag for child in children] == [OUTCOMES[case["status"]]][:OUTCOMES[case["status"]] is not None]
        for child in children:
            type_ = case["cause"]["id"] if case["status"] in ("FAIL", "CHANGED") else case["status"]
            assert child.get("message") == case["verdict"]
            assert child.tag == "skipped" or child.get("type") == type_
            assert "suite" not in case or not case["suite"] or f"run again: qconform run {case['suite']} {case['id']} " in child.text
            assert not case["requirement"] or f"requirement: {case['requirement']}\nsource: {case['source']}\n" in child.text


@pytest.mark.parametrize("old, new", [
    ("<testcase ", "<testcase file=\"x\" "), ("<testcase ", "<testcase line=\"1\" "), ("<testsuites ", "<testsuites skipped=\"0\" "),
    ("time=\"0.013\"", "time=\"4.13e1\""), ("time=\"0.013\"", "time=\"0.0131\""), ("time=\"0.013\"", "time=\"0,013\""),
    ("time=\"0.013\"", "time=\"-1\""), (" tests=\"5\"", ""), (" tests=\"5\"", " tests=\"-1\""), ("name=\"fail\"", "name=\"pass\""),
    ("name=\"fail\"", "name=\"\""), (" classname=\"broken\"", ""), ("</failure>", "</failure><error message=\"x\" type=\"x\"/>"),
    (" type=\"prompt-not-injected\"", ""), ("<properties>", "<system-out/><properties>"), ("timestamp=\"2026", "timestamp=\"26"),
    ("<failure", "<rerunFailure")])
def test_schema_of_junit_refuses(tmp_path, old, new):
    path = tmp_path / "r.xml"
    subprocess.run([str(PROGRAM), "report", str(SAMPLES / "statuses.json"), "-q", "--junit", str(path)], check=True, stdout=subprocess.DEVNULL)
    text = path.read_text()
    assert validates(path).returncode == 0 and old in text
    path.write_text(text.replace(old, new, 1))
    assert validates(path).returncode != 0


# ---- TAP ----

class Point:
    def __init__(self, ok, number, description, directive, reason):
        self.ok, self.number, self.description, self.directive, self.reason = ok, number, description, directive, reason
        self.yaml = {}


def unescaped(text, special):
    return re.sub(rf"\\([{re.escape(special)}])", r"\1", text)


def read_tap(text):
    """A strict reader: anything that the grammar of TAP 14 does not name is a mistake."""
    lines = iter(text.split("\n"))
    assert next(lines) in ("TAP version 14", "TAP version 13")
    plan = re.fullmatch(r"1\.\.(\d+)( # SKIP .*)?", next(lines))
    points, bailed = [], False
    for line in lines:
        assert not bailed or line == "", "nothing follows Bail out!"
        point = re.fullmatch(r"(not )?ok (\d+) - ((?:[^\\#]|\\[\\#])*?)(?: # (TODO|SKIP) ((?:[^\\#]|\\[\\#])*))?", line)
        if point:
            assert int(point[2]) == len(points) + 1
            points.append(Point(not point[1], int(point[2]), unescaped(point[3], "\\#"), point[4], unescaped(point[5] or "", "\\#")))
        elif line == "  ---":
            assert points and not points[-1].yaml
            for field in iter(lambda: next(lines), "  ..."):
                key, value = re.fullmatch(r"  ([a-z]+): (\w+|\"(?:[^\"\\]|\\[\"\\])*\")", field).groups()
                assert key not in points[-1].yaml
                points[-1].yaml[key] = unescaped(value[1:-1], "\\\"") if value[0] == '"' else value
        elif line.startswith("Bail out!"):
            bailed = True
        else:
            assert line == "" or line.startswith("# "), line
    assert len(points) == int(plan[1]) and (points or plan[2])
    return points


def test_tap_is_what_its_grammar_allows(rendered):
    points = read_tap(rendered.tap.read_text())
    for point, case in zip(points, rendered.cases, strict=True):
        assert point.ok == (case["status"] in ("PASS", "SKIP"))
        assert point.directive == {"XFAIL": "TODO", "SKIP": "SKIP"}.get(case["status"])
        assert point.yaml.get("status", "PASS" if not point.directive else case["status"]) == case["status"]
        assert ("severity" in point.yaml) == (case["status"] not in ("PASS", "SKIP"))


def test_tap_13_differs_in_its_first_line_alone(rendered):
    old, new = rendered.tap13.read_text(), rendered.tap.read_text()
    assert old.split("\n", 1)[0] == "TAP version 13" and old.split("\n", 1)[1] == new.split("\n", 1)[1]


@pytest.mark.skipif(not shutil.which("prove"), reason="prove comes with Perl")
def test_prove_reads_tap_13(rendered):
    done = subprocess.run(["prove", "-v", "-e", "cat", str(rendered.tap13)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "Parse errors" not in done.stdout, done.stdout[-2000:]
    fails = sum(case["status"] not in ("PASS", "SKIP", "XFAIL") for case in rendered.cases)
    assert (f"Failed {fails}/{len(rendered.cases)} subtests" in done.stdout) == bool(fails)


def test_cut_stream_of_tap_is_seen(tmp_path):
    path = tmp_path / "r.tap"
    subprocess.run([str(PROGRAM), "report", str(SAMPLES / "statuses.json"), "-q", "--tap", str(path)], check=True, stdout=subprocess.DEVNULL)
    text = path.read_text()
    read_tap(text)
    for wrong in (text[:len(text) // 2], text.replace("1..11", "1..12"), text.replace("ok 3", "ok 4"), text + "x\n",
                  text.replace(" # TODO", " # TODO # x"), text.replace("severity: ", "severity ")):
        assert wrong != text
        with pytest.raises((AssertionError, StopIteration, AttributeError)):
            read_tap(wrong)


# ---- GitHub ----

def test_only_commands_of_ours_begin_a_line(rendered):
    """The runner looks behind leading blanks for "::", and anywhere in a line for "##["."""
    lines = rendered.terminal.split("\n")
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert all(re.match(r"::(error|warning) title=[^:,]*::", line) for line in commands)
    assert not any("##[" in line for line in lines)
    assert sum(line.startswith("::error") for line in commands) <= 10 and sum(line.startswith("::warning") for line in commands) <= 10
    failed, odd = ({case["status"] for case in rendered.cases} & kinds
                   for kinds in ({"FAIL", "CHANGED"}, {"ERROR", "TIMEOUT", "CRASH", "NOTRUN", "XPASS"}))
    assert any(line.startswith("::error") for line in commands) == bool(failed)
    assert sum(line.startswith("::warning") for line in commands) == len(odd)


@pytest.mark.parametrize("verbosity", ["-q", "-v"])
def test_terminal_commands_no_runner(tmp_path, verbosity):
    (tmp_path / "r.json").write_text(json.dumps(hostile()))
    done = subprocess.run([str(PROGRAM), "report", str(tmp_path / "r.json"), verbosity], stdout=subprocess.PIPE, text=True, check=True)
    assert not re.search(r"^\s*::|##\[", done.stdout, re.M)


@pytest.mark.parametrize("verb", ["inspect", "report"])
def test_name_of_a_file_commands_no_runner(tmp_path, verb):
    path = tmp_path / "a\n::error::x"
    path.write_text("x")
    done = subprocess.run([str(PROGRAM), verb, path.name], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and "a\\n::error::x: " in done.stderr and done.stderr.count("\n") == 1


def github(tmp_path, *arguments, name="statuses", **variables):
    return subprocess.run([str(PROGRAM), "report", str(SAMPLES / f"{name}.json"), "--github", "-q", *map(str, arguments)], cwd=tmp_path,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], **variables})


def test_annotations_come_behind_the_report(tmp_path):
    lines = github(tmp_path).stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("::"))
    assert lines[first - 1].startswith("next ") and all(line.startswith("::") for line in lines[first:])


def test_annotations_leave_a_document_on_stdout_alone(tmp_path):
    done = github(tmp_path, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["schema"] == "qconform-result/1" and done.stderr.startswith("::error title=")
    done = github(tmp_path, "--tap", "-")
    assert len(read_tap(done.stdout)) == 11 and done.stderr.startswith("::error title=")


def test_one_document_only_on_stdout(tmp_path):
    done = github(tmp_path, "--tap", "-", "--md", "-")
    assert done.returncode == 2 and done.stdout == "" and "only one document" in done.stderr


def test_summary_goes_behind_what_is_there(tmp_path):
    summary = tmp_path / "summary"
    summary.write_text("# Before\n")
    done = github(tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0 and f"wrote  {summary}" in done.stdout
    assert summary.read_text().startswith("# Before\n## qconform: FAIL\n")
    assert summary.read_text().count("## qconform") == 1


def test_summary_that_github_would_refuse_is_not_written(tmp_path):
    summary = tmp_path / "summary"
    summary.write_text("x" * (1 << 20))
    done = github(tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 74 and "1 MiB" in done.stderr and str(summary) in done.stderr and summary.stat().st_size == 1 << 20


def test_no_summary_outside_of_github(tmp_path):
    assert github(tmp_path).returncode == 0 and os.listdir(tmp_path) == []


# ---- Markdown ----

def to_html(text):
    return subprocess.run(["cmark", "--unsafe"], input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_markdown_renders_without_surprise(rendered):
    """Only the elements that we write; every link is https and shows its address."""
    for text in (rendered.md.read_text(), rendered.summary):
        page = to_html(text)
        assert set(re.findall(r"</?([a-zA-Z0-9]+)", page)) <= {"h2", "h3", "p", "ul", "li", "strong", "code", "a"}, page[:3000]
        assert all(address == "https://" + rest for address, rest in re.findall(r'href="([^"]*)">https://([^<]*)</a>', page))
        assert page.count("<a ") == len(re.findall(r'<a href="https://[^"]*">https://', page))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    assert len(rendered.md.read_bytes()) <= 60000


def test_markdown_notifies_nobody(rendered):
    assert not re.search(r"(?<![\w`])@\w", re.sub(r"`[^`]*`", "", rendered.md.read_text()))


def test_markdown_tables_have_as_many_cells_as_columns(rendered):
    tables = re.findall(r"(?:^\| .*\n)+", rendered.md.read_text(), re.M)
    for table in tables:
        cells = {re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}
        assert len(cells) == 1 and cells <= {3, 6}
    assert bool(tables) == (len(rendered.cases) > 1)


# ---- all of them ----

@pytest.mark.parametrize("name", ["failing", "raised", "statuses", "several", "compare", "error"])
def test_formats_agree(name, tmp_path):
    """Verdict, counts and first divergence are the same text everywhere."""
    document = sample(name)
    source = tmp_path / "r.json"
    source.write_text(json.dumps(document))
    files = {suffix: tmp_path / f"r.{suffix}" for suffix in ("xml", "tap", "md", "html")}
    terminal = subprocess.run([str(PROGRAM), "report", str(source), "-v", "--junit", files["xml"], "--tap", files["tap"], "--md", files["md"],
                               "--html", files["html"]], stdout=subprocess.PIPE, text=True, check=True, env={"PATH": "/nonexistent"}).stdout
    page = html.unescape(re.sub(r"<[^>]+>", "", files["html"].read_text()))
    sheet = html.unescape(re.sub(r"<[^>]+>", "", to_html(files["md"].read_text())))
    points = {point.number: point for point in read_tap(files["tap"].read_text())}
    junit = [list(case) for case in xml.etree.ElementTree.parse(files["xml"]).getroot().iter("testcase")]
    order = [document["cases"].index(case) for suite in dict.fromkeys(case.get("suite") for case in document["cases"])
             for case in document["cases"] if case.get("suite") == suite]
    counts = re.search(r"^\d+ judged.*", terminal, re.M)[0]
    for text in (shown(page), shown(sheet), shown(files["tap"].read_text())):
        assert counts in text or len(document["cases"]) == 1
    for element, index in zip(junit, order, strict=True):
        case, point = document["cases"][index], points[index + 1]
        place = case["first_divergence"] and ", ".join(
            [f"{key} {case['first_divergence'][key]}" for key in ("step", "layer") if case["first_divergence"][key] is not None]
            + [case["first_divergence"]["site"]])
        if case["status"] in ("PASS", "SKIP"):
            continue
        assert element[0].get("message") == point.yaml["message"] == case["verdict"]
        assert all(case["verdict"] in shown(text) for text in (page, terminal)) and (case["status"] == "XFAIL" or case["verdict"] in shown(sheet))
        if place:
            assert f"first divergence: {place} (" in element[0].text and point.yaml["first"].startswith(f"{place} (")
            assert place in shown(terminal) and place in shown(page) and (case["status"] == "XFAIL" or f"first divergence: {place} (" in shown(sheet))


@pytest.mark.parametrize("suffix, beginning", [("xml", "<?xml"), ("tap", "TAP version 14\n"), ("tap13", "TAP version 13\n"), ("md", "## qconform"),
                                               ("csv", "case,"), ("html", "<!DOCTYPE html>"), ("json", "{\n")])
def test_report_knows_the_format_by_the_suffix(tmp_path, suffix, beginning):
    path = tmp_path / f"a.b.{suffix}"
    subprocess.run([str(PROGRAM), "report", str(SAMPLES / "failing.json"), "-q", "-o", str(path)], check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": "/nonexistent"})
    assert path.read_text().startswith(beginning)


def test_suffix_of_no_format_is_refused(qconform, tmp_path):
    for name in ("r.txt", "github", "rxml", "r.xml.gz"):
        done = qconform("report", SAMPLES / "failing.json", "-o", tmp_path / name)
        assert done.code == 2 and "suffix" in done.err


def test_catalogue_has_the_formats(qconform):
    rows = {row["id"]: row for row in json.loads(qconform("list", "formats", "--json").out)["rows"]}
    assert {"json", "html", "html-dir", "csv", "junit", "tap", "tap13", "md", "github"} <= set(rows)
    assert rows["github"]["takes"] is None and rows["github"]["suffix"] is None and rows["junit"]["takes"] == "FILE" and rows["html-dir"]["takes"] == "DIR"
    assert "--github" in qconform("explain", "github").out and "step summary" in qconform("explain", "github").out
    text = qconform("help", "diagnose").out
    assert re.search(r"^ +--github  +GitHub", text, re.M) and re.search(r"^ +--junit FILE ", text, re.M)
    for shell in ("bash", "zsh"):
        assert re.search(r" --github[ \"]", qconform("completion", shell).out)
    fish = [line for line in qconform("completion", "fish").out.split("\n") if " diagnose'" in line]
    assert all(any(option in line for line in fish) for option in ("-l github -d", "-l junit -r -d", "-l html-dir -r -d"))


def test_diagnose_writes_them_all(qconform, tmp_path):
    names = {"--junit": "r.xml", "--tap": "r.tap", "--tap13": "r.tap13", "--md": "r.md"}
    done = qconform("diagnose", BAD, "--github", *[word for option, name in names.items() for word in (option, tmp_path / name)])
    assert done.code == 1 and "::error title=prompt-not-injected::" in done.out
    assert all(f"wrote  {tmp_path / name}\n" in done.out for name in names.values())
    case = xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot().find("testsuite/testcase")
    assert (case.get("classname"), case.get("name")) == ("qconform", BAD.name) and case[0].get("type") == "prompt-not-injected"


# ---- a folder of pages ----

def folder_of(document, tmp_path, code=0):
    (tmp_path / "r.json").write_text(json.dumps(document))
    done = subprocess.run([str(PROGRAM), "report", "r.json", "-q", "--html-dir", "pages"], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env={"PATH": "/nonexistent"})
    assert done.returncode == code, done.stderr
    return done, tmp_path / "pages"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_index_leads_to_a_page_of_each_case(name, tmp_path):
    document = DOCUMENTS[name]()
    done, folder = folder_of(document, tmp_path)
    assert "wrote  pages/index.html\n" in done.stdout and done.stdout.count("wrote") == 1
    index = (folder / "index.html").read_text()
    links = re.findall(r'<a href="([^"#]+)">', index)
    assert sorted(links) == sorted(set(os.listdir(folder)) - {"index.html"})
    assert len(links) == len(document["cases"]) and all(re.fullmatch(r"[0-9]{4}[A-Za-z0-9-]{0,81}\.html", link) for link in links)
    for link in links:
        page = (folder / link).read_text()
        assert '<a href="index.html">All cases</a>' in page and page.endswith("</html>\n")


def test_page_of_a_folder_is_that_of_the_case_alone(tmp_path):
    document = sample("statuses")
    _, folder = folder_of(document, tmp_path)
    for number, case in enumerate(document["cases"], 1):
        source = tmp_path / "one.json"
        source.write_text(json.dumps({**document, "cases": [case]}))
        subprocess.run([str(PROGRAM), "report", "one.json", "-q", "--html", "one.html"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL,
                       env={"PATH": "/nonexistent"})
        page = next(folder.glob(f"{number:04}-*")).read_text().replace('<a href="index.html">All cases</a>\n', "")
        assert page == (tmp_path / "one.html").read_text() and case["id"].split("/")[-1] in page


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "pages").write_text("a file")
    done, _ = folder_of(sample("statuses"), tmp_path, code=74)
    assert done.stderr.count("\n") == 1 and "pages/0001-prompt-generate-pass.html: cannot be written" in done.stderr
    assert "wrote" not in done.stdout


def test_folder_that_is_there_keeps_what_is_not_ours(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "notes.txt").write_text("mine")
    _, folder = folder_of(sample("failing"), tmp_path)
    assert (folder / "notes.txt").read_text() == "mine" and len(os.listdir(folder)) == 3
