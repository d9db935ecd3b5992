/* The notes that qualify a verdict. */
#include "reports/notes.h"
#include "reports/tests/documents.h"

static void expect_note(bool (*add)(struct qw_text *, const struct qw_json *), const char *json, const char *wanted)
{
    struct qw_text out = {0};
    struct qw_json *document = parse_document(json);
    bool said = add(&out, document);
    cr_expect_eq(said, *wanted != 0, "%s", json);
    cr_expect_str_eq(out.bytes ? out.bytes : "", wanted);
    qw_text_free(&out);
    qw_json_free(document);
}

Test(notes, a_selection_in_words)
{
    expect_note(rp_add_selection,
                "{\"selection\": {\"steps\": [0, 4], \"layers\": [2, 2], \"site\": \"mlp.*\", \"precision\": \"f64\"}}",
                "steps 0 to 4, layer 2, sites matching mlp.*, as a run in f64");
    expect_note(rp_add_selection, "{\"selection\": {\"steps\": null, \"layers\": null, \"site\": null, \"precision\": null}}",
                "");
    expect_note(rp_add_selection, "{\"selection\": null}", "");
    expect_note(rp_add_selection, "{}", "");
    expect_note(rp_add_selection, "{\"selection\": {\"steps\": [], \"layers\": 7}}", "");
}

Test(notes, waivers_are_counted_by_their_reason)
{
    expect_note(rp_add_waived,
                "{\"sites\": [{\"status\": \"waived\", \"reason\": \"a\"}, {\"status\": \"waived\", \"reason\": \"b\"}, "
                "{\"status\": \"waived\", \"reason\": \"a\"}, {\"status\": \"conforms\"}, {\"status\": \"waived\"}]}",
                "2 times: a; 1 time: b; 1 time: no reason was given");
    expect_note(rp_add_waived, "{\"sites\": []}", "");
}

Test(notes, a_sandbox_says_what_holds_and_what_does_not)
{
    expect_note(rp_add_sandbox,
                "{\"tool\": {\"sandbox\": {\"landlock\": 7, \"seccomp\": true, \"limits\": true, \"missing\": []}}}",
                "Landlock 7, seccomp, limits of memory and time");
    expect_note(rp_add_sandbox, "{\"tool\": {\"sandbox\": {\"landlock\": 0, \"seccomp\": false}}}", "none");
    expect_note(rp_add_sandbox, "{\"tool\": {}}", "");
    expect_note(rp_add_unprotected,
                "{\"tool\": {\"sandbox\": {\"missing\": [\"Landlock: not in this kernel\", \"seccomp: refused\"]}}}",
                "Landlock: not in this kernel; seccomp: refused");
    expect_note(rp_add_unprotected, "{\"tool\": {\"sandbox\": {\"missing\": []}}}", "");
}

Test(notes, a_layout_in_words)
{
    expect_note(rp_add_layout, "{\"permutation\": [0, 2, 1, 3], \"axes\": [\"batch\", \"heads\", \"sequence\", \"head size\"]}",
                "heads and sequence are swapped: axes [0, 2, 1, 3]");
    expect_note(rp_add_layout, "{\"permutation\": [0, 2, 1, 3], \"axes\": [\"batch\", \"sequence\", \"heads\", \"head size\"]}",
                "sequence and heads are swapped: axes [0, 2, 1, 3]");
    expect_note(rp_add_layout, "{\"permutation\": [1, 0]}", "the axes stand in another order: [1, 0]");
    expect_note(rp_add_layout, "{\"permutation\": [2, 0, 1, 3]}", "the axes stand in another order: [2, 0, 1, 3]");
    expect_note(rp_add_layout, "{\"permutation\": null}", "");
    expect_note(rp_add_layout, "{\"permutation\": [9, 9, 9, 9, 9, 9, 9, 9, 9]}",
                "the axes stand in another order: [9, 9, 9, 9, 9, 9, 9, 9, 9]");
}

Test(notes, only_recordings_that_were_compared_without_a_floor_are_bitwise)
{
    static const struct {
        const char *json;
        bool bitwise;
    } rows[] = {{"{\"mode\": \"compare\", \"sites\": [{\"ratio\": 0}, {\"ratio\": \"inf\"}, {\"ratio\": null}]}", true},
                {"{\"mode\": \"compare\", \"sites\": [{\"ratio\": 0.3}]}", false},
                {"{\"sites\": [{\"ratio\": 0}]}", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_json *document = parse_document(rows[i].json);
        cr_expect_eq(rp_is_bitwise(document), rows[i].bitwise, "%s", rows[i].json);
        qw_json_free(document);
    }
}
