"""Reports of documents that were damaged, made up or made to harm: a clear message or a whole report, never anything else."""

import concurrent.futures
import copy
import csv
import html.parser
import io
import json
import re
import xml.etree.ElementTree

import jsonschema
import pytest

from conftest import FOREIGN, RECORDINGS, PROGRAM, ROOT

BAD = RECORDINGS / "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
RAISED = RECORDINGS / "qwen2-prompt-tf4.42.4-peft0.11.1.h5"
SCHEMA = json.loads((ROOT / "reports" / "result.schema.json").read_text())
NO_GNUPLOT = {"PATH": "/nonexistent"}


def without_patterns(rule):
    """The schema as the program applies it: patterns of texts are left to the readers of the texts."""
    if isinstance(rule, dict):
        return {key: without_patterns(value) for key, value in rule.items() if key != "pattern"}
    return [without_patterns(value) for value in rule] if isinstance(rule, list) else rule


RULES = jsonschema.Draft202012Validator(without_patterns(SCHEMA))


def is_a_result(document):
    return RULES.is_valid(document)


def compared():
    return json.loads((ROOT / "reports" / "tests" / "compare.json").read_text())


@pytest.fixture(scope="session")
def judged(tmp_path_factory):
    """Short documents of every kind: one that fails, one that raised, one comparison."""
    import subprocess
    path = tmp_path_factory.mktemp("judged") / "r.json"
    subprocess.run([str(PROGRAM), "diagnose", "-q", str(BAD), str(RAISED), "--json-out", str(path)], cwd=ROOT,
                   stdout=subprocess.DEVNULL)
    document = json.loads(path.read_text())
    for name, count in {"sites": 3, "findings": 1, "parties": 1, "cache_lengths": 1, "next_steps": 1}.items():
        document["cases"][0][name] = document["cases"][0][name][:count]
    for case in document["cases"]:
        del case["causes"][:]
    document["cases"].append(compared()["cases"][0])
    del document["cases"][2]["sites"][4:], document["cases"][2]["differences"][1:]
    document["tool"]["sandbox"] = compared()["tool"]["sandbox"]
    return document


def write(path, document):
    path.write_text(json.dumps(document))
    return path


# ---- documents that break the schema ----

def places(node, path=()):
    """Every place of a document, as the keys that lead there."""
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield path + (key,)
        yield from places(node[key], path + (key,))


def mutated(document, path, change):
    copied = copy.deepcopy(document)
    holder = copied
    for key in path[:-1]:
        holder = holder[key]
    if change == "removed":
        del holder[path[-1]]
    else:
        holder[path[-1]] = change
    return copied


OTHERS = ["removed", None, 7, -1, 0.5, "odd", True, [], {}, [None], {"x": 1}, "nan"]


def mutations(document, count):
    paths = list(places(document))
    every = [(path, OTHERS[(i + k) % len(OTHERS)]) for i, path in enumerate(paths) for k in range(3)]
    return every[::max(1, len(every) // count)]


def test_any_field_removed_or_of_another_type_is_named_or_rendered(qconform, judged, tmp_path):
    def is_refused(number, path, change):
        document = mutated(judged, path, change)
        file = write(tmp_path / f"{number}-r.json", document)
        outputs = ["--html", f"{file}.html", "--csv", f"{file}.csv"] if number % 5 == 0 else []
        done = qconform("report", "-v", file, *outputs, **NO_GNUPLOT)
        where = f"{'.'.join(map(str, path))} = {change!r}: {done.err}"
        assert done.code == (0 if is_a_result(document) else 3), where
        if done.code == 3:
            assert done.err.startswith("qconform: ") and "r.json" in done.err and done.err.count("\n") == 1, where
            assert str(path[0]) in done.err, where
        else:
            assert "\nnext " in done.out, where
        return done.code == 3

    chosen = mutations(judged, 520)
    assert is_a_result(judged) and len(chosen) >= 500
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        refused = list(pool.map(lambda numbered: is_refused(numbered[0], *numbered[1]), enumerate(chosen)))
    assert sum(refused) > 150


@pytest.mark.parametrize("text, words", [
    ('{"schema": "qconform-result/2"}', "this program reads qconform-result/1"),
    ('{"schema": "qconform-inspect/1"}', "not a result of schema qconform-result/1"),
    ('{"schema": 1}', "names no schema"), ("[]", "names no schema"), ("7", "names no schema"),
    ('{"schema": "qconform-result/1"}', "lacks the fields created"), ("", "JSON"), ('{"schema": ', "JSON")])
def test_what_is_no_result_is_said_to_be_none(qconform, tmp_path, text, words):
    (tmp_path / "odd.json").write_text(text)
    done = qconform("report", tmp_path / "odd.json")
    assert done.code == 3 and words in done.err and "odd.json" in done.err and not done.out


def test_a_result_without_cases_says_so(qconform, judged, tmp_path):
    document = {**judged, "cases": []}
    done = qconform("report", write(tmp_path / "r.json", document), "--html", tmp_path / "r.html", "--csv", tmp_path / "r.csv")
    assert done.code == 0 and "holds no case" in done.out
    assert "holds no case" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.csv").read_text().count("\n") == 1


def test_an_unknown_status_is_named_with_the_known_ones(qconform, judged, tmp_path):
    document = mutated(judged, ("cases", 1, "status"), "GREAT")
    done = qconform("report", write(tmp_path / "r.json", document))
    assert done.code == 3 and "cases[1].status" in done.err and "GREAT" in done.err and "PASS, FAIL, ERROR" in done.err


# ---- texts that want to be more than text ----

PAYLOADS = [
    b"<script>alert(1)</script>", b"</script><script>alert(1)//", b"<ScRiPt src=//e.x>", b'\\"><img src=x onerror=alert(1)>',
    b"'><svg/onload=alert(1)>", b"' onmouseover='alert(1)", b'\\" autofocus onfocus=\\"alert(1)', b"` onerror=alert(1) `",
    b"</title></style></svg></p>-->]]>", b"]]>", b"<![CDATA[x]]>", b"<!--", b"--><b>", b"<!DOCTYPE html>", b"<?xml version='1.0'?>",
    b"<style>*{display:none}</style>", b"</textarea><plaintext>", b"<base href=//e.x>", b"<meta http-equiv=refresh content=0>",
    b"<iframe srcdoc='x'>", b"<details open>", b"</td></tr></table>", b"</details></section>", b"<math><mi//xlink:href=x>",
    b"&lt;script&gt;", b"&#60;b&#62;", b"&", b"<", b">", b'\\"', b"'", b"=", b"<foreignObject>", b"<use href=#x>",
    b"javascript:alert(1)", b"data:text/html,<b>", b"//e.x/y", b"http://example.org",
    b"\\u001b[31mred", b"\\u001b]8;;http://e.x\\u0007link", b"\\u009b31mred", b"\x1b[2J", b"\\u0007\\b\\f", b"line\\nfeed\\rreturn\\ttab\\u007f",
    b"\\r\\nSet: x", b"\xff\xfe\xc0\xaf\xed\xa0\x80 broken \xe2\x82", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\\\\u0000 \\\\x00 %00",
    b"\xe2\x80\xae right to left \xe2\x80\xa8", b"\xe2\x81\xa6 isolate", b"\xe2\x80\x8b\xef\xbb\xbf", b"\xef\xbf\xbf", b"\xf3\xa0\x81\x81 tag",
    b"`touch /tmp/x` $(touch x) ${x} %s %n", b"'; touch x; '", b"EOD\\nset output 'x'", b"@macro", b"=cmd|' /C calc'!A0", b"@SUM(A1)", b"\\\\",
    b"x" * 100000, "\u865a\u62df\u4ee4\u724c \U0001f642".encode(),
]
FREE = {"id", "recording", "verdict", "title", "against", "remedy", "fixed_in", "mechanism", "evidence", "message", "site", "reason", "position",
        "text", "command", "basis", "version", "blas", "blas_core", "missing", "blind", "producer", "peft_type", "class", "name", "hint", "file",
        "exception_type", "exception_message", "raised_at", "party", "transformers", "peft", "python", "torch", "value", "a", "b"}


def with_text(node, word, key=None):
    """A copy in which every free text is `word`; words that have a meaning of their own stay."""
    if isinstance(node, dict):
        return {name: with_text(value, word, name) for name, value in node.items()}
    if isinstance(node, list):
        return [with_text(value, word, key) for value in node]
    return word if isinstance(node, str) and key in FREE else node


class Skeleton(html.parser.HTMLParser):
    """Elements and the names of their attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *sorted(name for name, _ in attributes)))

    def handle_endtag(self, tag):
        self.tags.append(("/" + tag,))

    def handle_decl(self, decl):
        self.tags.append(("!", decl))

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data[:60]}")

    def handle_pi(self, data):
        raise AssertionError(f"an instruction: {data[:60]}")


def is_json_text(payload):
    """Whether it may stand between the quotes of a JSON text: UTF-8, and no bare control character."""
    try:
        return isinstance(json.loads(b'"' + payload + b'"'), str)
    except ValueError:
        return False


def report_on(qconform, judged, payload, folder, **variables):
    document = with_text(judged, "MARK")
    document["tool"]["name"] = "qconform"
    path = folder / "r.json"
    path.write_bytes(json.dumps(document).encode().replace(b"MARK", payload))
    return qconform("report", "-v", path, "--html", folder / "r.html", "--csv", folder / "r.csv", **variables)


def rendered(qconform, judged, payload, folder, **variables):
    done = report_on(qconform, judged, payload, folder, **variables)
    assert done.code == 0, done.err
    return done.out.replace(str(folder), ""), (folder / "r.html").read_bytes().decode(), (folder / "r.csv").read_bytes().decode()


@pytest.fixture(scope="session")
def benign(judged, tmp_path_factory):
    return {}


HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff\uffff\U000e0041]")


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_hostile_texts_stay_text_in_every_report(qconform, judged, benign, tmp_path, number):
    if not benign:
        benign["page"] = Skeleton(rendered(qconform, judged, b"word", tmp_path, **NO_GNUPLOT)[1]).tags
    if not is_json_text(PAYLOADS[number]):
        refused = report_on(qconform, judged, PAYLOADS[number], tmp_path, **NO_GNUPLOT)
        assert refused.code == 3 and "not valid JSON" in refused.err and not HIDDEN.search(refused.err)
        return
    terminal, page, table = rendered(qconform, judged, PAYLOADS[number], tmp_path, **NO_GNUPLOT)
    assert Skeleton(page).tags == benign["page"]
    assert not HIDDEN.search(page) and not HIDDEN.search(terminal)
    assert not HIDDEN.search(table.replace("\r\n", "\n"))
    rows = list(csv.reader(io.StringIO(table, newline=""), strict=True))
    assert len(rows) == 1 + sum(len(case["sites"]) for case in judged["cases"]) and {len(row) for row in rows} == {17}
    assert not any(field[:1] in "=@" and field for row in rows for field in row)


@pytest.mark.parametrize("payload", [b"word", b"</svg><script>alert(1)</script>", b"`touch x`", b"EOD\\nset output 'x'", b"\\u001b[31m"])
def test_hostile_texts_leave_the_drawings_as_they_are(qconform, judged, tmp_path, payload):
    page = rendered(qconform, judged, payload, tmp_path)[1]
    drawings = re.findall(r'<svg viewBox="[^"]*" xmlns=.*?</svg>', page, re.S)
    if not drawings:
        pytest.skip("gnuplot is not installed")
    for drawing in drawings:
        root = xml.etree.ElementTree.fromstring(drawing)
        names = {element.tag.split("}")[1] for element in root.iter()}
        assert names <= {"svg", "g", "path", "polygon", "polyline", "rect", "circle", "line", "text", "tspan", "defs", "use", "title", "desc",
                         "clipPath", "pattern", "filter", "feFlood", "feComposite"}, names
        assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
        assert not re.search(r"\b(nan|inf)\b", re.sub(r"<(title|desc).*?</\1>", "", drawing), re.I)
    assert list(tmp_path.glob("x*")) == []


# ---- sizes ----

def large(path, judged, sites):
    """A document of about 130 bytes per site, written without holding it."""
    document = copy.deepcopy(judged)
    document["cases"] = document["cases"][:1]
    document["cases"][0]["sites"] = []
    before, behind = json.dumps(document).split('"sites": []')
    with open(path, "w") as file:
        file.write(before + '"sites": [')
        for i in range(sites):
            step, layer = divmod(i // 12, 80)
            status = '"differs", "kind": "value", "ratio": 1e3' if i % 1000 == 999 else '"conforms", "kind": null, "ratio": 0.25'
            file.write(f'{"," if i else ""}{{"step": {step}, "layer": {layer}, "site": "mlp.place{i % 12}", "party": "model", "status": {status}, "ratio_isolated": 0.125}}')
        file.write("]" + behind)


def test_fifty_megabytes_of_sites_make_a_bounded_page(qconform, judged, tmp_path):
    path = tmp_path / "r.json"
    large(path, judged, 400000)
    assert path.stat().st_size > 50e6
    done = qconform("report", path, "--html", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert done.code == 0 and len(page) < 6e6 and done.out.count("\n") < 120
    assert "Showing the first 5000 of 400000; the result document has all of them" in page
    assert "Several neighbouring steps share a column" in page and page.count("<tr") < 8000


# ---- the sites as a table ----

def test_csv_has_every_site_with_its_numbers(qconform, tmp_path):
    done = qconform("diagnose", BAD, RECORDINGS / "qwen2-base-tf4.57.3.h5", "--csv", tmp_path / "r.csv", "--json-out", tmp_path / "r.json")
    assert done.code == 1 and str(tmp_path / "r.csv") in done.out
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    sites = [(case["id"], site) for case in json.loads((tmp_path / "r.json").read_text())["cases"] for site in case["sites"]]
    assert len(rows) == len(sites)
    for row, (case, site) in zip(rows, sites):
        assert row["case"] == case and row["site"] == site["site"] and row["status"] == site["status"]
        assert row["ratio"] == ("" if site["ratio"] is None else row["ratio"])
        assert site["ratio"] is None or float(row["ratio"]) == float(site["ratio"])


def test_csv_is_chosen_by_its_suffix(qconform, judged, tmp_path):
    assert qconform("report", write(tmp_path / "r.json", judged), "-o", tmp_path / "r.csv").code == 0
    assert (tmp_path / "r.csv").read_text().startswith("case,recording,step,")


# ---- the schema itself ----

def test_every_field_of_the_schema_is_described():
    def bare(rule, path):
        for name, field in rule.get("properties", {}).items():
            if "description" not in field and "description" not in SCHEMA["$defs"].get(field.get("$ref", "").rsplit("/", 1)[-1], {}):
                yield f"{path}.{name}"
            yield from bare(field, f"{path}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(rule.get(key), dict):
                yield from bare(rule[key], path + "[]")
        for option in rule.get("anyOf", []):
            yield from bare(option, path)
    assert list(bare(SCHEMA, "")) == []
    for name, rule in SCHEMA["$defs"].items():
        assert "description" in rule and list(bare(rule, name)) == []


def test_every_field_that_the_program_writes_stands_in_the_schema(qconform, tmp_path):
    (tmp_path / "odd.h5").write_text("x")
    files = sorted(RECORDINGS.glob("*.h5")) + sorted(FOREIGN.glob("*.h5")) + [tmp_path / "odd.h5"]
    document = qconform("diagnose", "--json", *files).document

    def resolve(rule):
        return SCHEMA["$defs"][rule["$ref"].rsplit("/", 1)[1]] if "$ref" in rule else rule

    def known(rule):
        """Rules of the fields, through references and alternatives."""
        rule = resolve(rule)
        fields = dict(rule.get("properties", {}))
        for option in rule.get("anyOf", []):
            fields |= known(option)
        return fields

    def items(rule):
        rule = resolve(rule)
        return next((found for option in [rule, *map(resolve, rule.get("anyOf", []))] if (found := option.get("items"))), {})

    def unknown(node, rule, path):
        if isinstance(node, dict) and not resolve(rule).get("additionalProperties"):
            fields = known(rule)
            for name, value in node.items():
                if name not in fields:
                    yield f"{path}.{name}"
                else:
                    yield from unknown(value, fields[name], f"{path}.{name}")
        for value in node if isinstance(node, list) else ():
            yield from unknown(value, items(rule), path + "[]")
    assert sorted(set(unknown(document, SCHEMA, ""))) == []
