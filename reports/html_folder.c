/* Invariant: a page of the folder is the page that the case alone would have; the index links to no other files. */
#include <string.h>

#include "reports/escape.h"
#include "reports/html.h"
#include "reports/page.h"

enum { LONGEST_NAME = 80 };

void rp_add_file_name(struct qw_text *out, const struct qw_json *one, int number)
{
    struct qw_text id = {0};
    rp_escape_id(&id, qw_json_get_text(one, "id", ""), LONGEST_NAME);
    qw_text_addf(out, "%04d%s%s.html", number, id.length ? "-" : "", id.length ? id.bytes : "");
    qw_text_free(&id);
}

/* The document with one of its cases; free with qw_json_free. */
static struct qw_json *with_case(const struct qw_json *result, const struct qw_json *one)
{
    struct qw_json *copy = qw_json_object();
    for (const struct qw_json *f = qw_json_first(result); f; f = qw_json_next(f))
        if (strcmp(qw_json_key(f), "cases") != 0)
            qw_json_put(copy, qw_json_key(f), qw_json_copy(f));
        else
            qw_json_add(qw_json_put(copy, "cases", qw_json_array()), qw_json_copy(one));
    return copy;
}

bool rp_html_folder(struct qw_text *name, struct qw_text *out, const struct qw_json *result, int index)
{
    const struct qw_json *cases = qw_json_get(result, "cases"), *one = qw_json_first(cases);
    for (int i = 0; one && i < index; i++)
        one = qw_json_next(one);
    if (one) {
        struct qw_json *alone = with_case(result, one);
        rp_add_file_name(name, one, index + 1);
        rp_html_page(out, alone, RP_PAGE_IN_FOLDER);
        qw_json_free(alone);
    } else if (index == qw_json_size(cases)) {
        qw_text_add(name, RP_PAGE_INDEX_FILE);
        rp_html_page(out, result, RP_PAGE_INDEX);
    }
    return name->length > 0;
}
