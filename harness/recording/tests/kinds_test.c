/* Objects, names and attributes of a kind that the format does not have. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/recording/tests/made.h"
#include "reference/base/file.h"

TestSuite(kinds, .init = made_begin, .fini = made_end);

/* ---- a dataset where a group belongs, and the other way round ---- */

#define DATASET_INSTEAD(what, path, words)                                                                                       \
    static void dataset_##what(hid_t file) { made_floats(file, path, 1, (int64_t[]){1}, (float[]){1}); }                         \
    Test(kinds, dataset_instead_of_##what) { made_spoiled(dataset_##what, path, words); }

DATASET_INSTEAD(environment, "/environment", "a group is expected")
DATASET_INSTEAD(model, "/model", "a group is expected")
DATASET_INSTEAD(model_weights, "/model/weights", "a group is expected")
DATASET_INSTEAD(adapter, "/adapter", "a group is expected")
DATASET_INSTEAD(adapter_weights, "/adapter/weights", "a group is expected")
DATASET_INSTEAD(call, "/call", "a group is expected")
DATASET_INSTEAD(steps, "/steps", "a group is expected")
DATASET_INSTEAD(step, "/steps/000000", "a group is expected")
DATASET_INSTEAD(received, "/steps/000000/received", "a group is expected")
DATASET_INSTEAD(cache, "/steps/000000/cache_after", "a group is expected")
DATASET_INSTEAD(layer, "/steps/000000/cache_after/000", "a group is expected")
DATASET_INSTEAD(taps, "/steps/000000/taps", "a group is expected")

#define GROUP_INSTEAD(what, path)                                                                                                \
    static void group_##what(hid_t file)                                                                                         \
    {                                                                                                                            \
        made_delete(file, path);                                                                                                 \
        made_group(file, path);                                                                                                  \
    }                                                                                                                            \
    Test(kinds, group_instead_of_##what) { made_spoiled(group_##what, path, "a dataset is expected"); }

GROUP_INSTEAD(key, MADE_KEY)
GROUP_INSTEAD(received_ids, "/steps/000000/received/input_ids")
GROUP_INSTEAD(prompt, "/adapter/prompt")
GROUP_INSTEAD(weight, "/model/weights/model.norm.weight")

static void type_instead(hid_t file)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    made_delete(file, MADE_TAP);
    H5Tcommit2(file, MADE_TAP, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
}

Test(kinds, a_named_type_instead_of_a_tap) { made_spoiled(type_instead, MADE_TAP, "a dataset is expected"); }

/* ---- names ---- */

#define NAMED(what, name, shown, words)                                                                                          \
    static void named_##what(hid_t file) { made_floats(file, "/steps/000000/taps/" name, 1, (int64_t[]){1}, (float[]){1}); }     \
    Test(kinds, a_name_##what) { made_spoiled(named_##what, "/steps/000000/taps/" shown, words); }

NAMED(with_an_escape, "a\x1b]0;b", "a\\x1b]0;b", "not printable UTF-8")
NAMED(with_a_line_feed, "a\nb", "a\\nb", "not printable UTF-8")
NAMED(with_a_delete, "a\x7f", "a\\x7f", "not printable UTF-8")
NAMED(of_latin_1, "caf\xe9", "caf\\xe9", "not printable UTF-8")
NAMED(of_an_overlong_slash, "a\xc0\xaf", "a\\xc0\\xaf", "not printable UTF-8")

static void utf8_name(hid_t file) { made_floats(file, "/steps/000000/taps/模型", 1, (int64_t[]){1}, (float[]){1}); }

Test(kinds, a_name_of_printable_utf8_is_read)
{
    struct qc_recording recording = made_accepted(utf8_name);
    cr_expect_not_null(qc_step_tap(&recording.step[0], "模型"));
    qc_recording_clear(&recording);
}

static void long_name(hid_t file)
{
    char path[3000] = "/future/";
    made_group(file, "/future");
    memset(path + 8, 'a', 2000);
    made_floats(file, path, 1, (int64_t[]){1}, (float[]){1});
}

Test(kinds, a_very_long_name)
{
    char place[256] = "/future/";
    memset(place + 8, 'a', sizeof place - 9);
    made_spoiled(long_name, place, "longer path");
}

/* A name that holds a slash, or is a dot, cannot be written with the library, only into the bytes of a file. */
static void with_letter(char letter, const char *shown, const char *words)
{
    char path[256], place[256] = "/steps/000000/taps/", *bytes = NULL;
    size_t size;
    struct qw_error error = {0};
    hid_t file = made_recording(made_path(path, "a.h5"));
    made_floats(file, "/steps/000000/taps/-", 1, (int64_t[]){1}, (float[]){1});
    H5Fclose(file);
    cr_assert(qw_file_read(&bytes, &size, path, (size_t)1 << 24, &error));
    char *name = memmem(bytes, size, "\0-\0", 3);
    cr_assert_not_null(name);
    name[1] = letter;
    cr_assert(qw_file_write(path, bytes, size, &error));
    free(bytes);
    strcat(place, shown);
    made_refused(path, MADE_BUDGET, place, words);
}

Test(kinds, a_name_that_is_a_slash) { with_letter('/', "/", "holds a slash"); }
Test(kinds, a_name_that_is_a_dot) { with_letter('.', ".", "or a dot"); }
Test(kinds, a_name_that_became_unprintable) { with_letter('\x01', "\\x01", "not printable"); }

static void group_in_itself(hid_t file)
{
    H5Lcreate_hard(file, "/", file, "/loop", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "/steps", file, "/steps/000000/taps/loop", H5P_DEFAULT, H5P_DEFAULT);
}

Test(kinds, a_group_among_the_taps_that_holds_them, .timeout = 20)
{
    made_spoiled(group_in_itself, "/steps/000000/taps/loop", "a dataset is expected");
}

/* Two names of one step are two steps that did the same. */
static void one_step_twice(hid_t file) { H5Lcreate_hard(file, "/steps/000000", file, "/steps/000001", H5P_DEFAULT, H5P_DEFAULT); }

Test(kinds, one_step_under_two_names)
{
    struct qc_recording recording = made_accepted(one_step_twice);
    cr_expect_eq(recording.steps, 2);
    qc_recording_clear(&recording);
}

/* ---- groups that nobody knows ---- */

static void note_among_layers(hid_t file) { made_group(file, "/steps/000000/cache_after/notes"); }

Test(kinds, an_unknown_group_hides_no_layer)
{
    struct qc_recording recording = made_accepted(note_among_layers);
    cr_assert_eq(recording.step[0].after.layers, 1);
    cr_expect_not_null(recording.step[0].after.layer[0].key);
    qc_recording_clear(&recording);
}

/* ---- attributes ---- */

/* An attribute of `count` elements of `type`, written when there are data. */
static void written_attribute(hid_t file, const char *object, const char *name, hid_t type, hsize_t count, const void *data)
{
    hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    made_drop(file, object, name);
    hid_t made = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(made, 0);
    if (data)
        cr_assert_geq(H5Awrite(made, type, data), 0);
    H5Aclose(made);
    H5Sclose(space);
}

static void attribute_of(hid_t file, const char *object, const char *name, hid_t type, hsize_t count)
{
    written_attribute(file, object, name, type, count, NULL);
}

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    return type;
}

#define CLASS_TEXT "/model@class"
static void class_of(hid_t file, hid_t type, hsize_t count) { attribute_of(file, "/model", "class", type, count); }

static void two_texts(hid_t file) { class_of(file, text_type(4), 2); }
static void many_texts(hid_t file) { class_of(file, text_type(H5T_VARIABLE), 3); }
static void list_of_bytes(hid_t file) { class_of(file, H5Tvlen_create(H5T_STD_U8LE), 1); }
static void compound_text(hid_t file)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(type, "x", 0, H5T_STD_I64LE);
    class_of(file, type, 1);
}
static void reference_text(hid_t file) { class_of(file, H5T_STD_REF_OBJ, 1); }
static void opaque_text(hid_t file) { class_of(file, H5Tcreate(H5T_OPAQUE, 8), 1); }
static void hidden_text(hid_t file) { written_attribute(file, "/model", "class", text_type(11), 1, "Qwen2\0evil"); }
static void latin_text(hid_t file) { written_attribute(file, "/model", "class", text_type(6), 1, "Qw\xe9n2"); }
static void latin_in_the_environment(hid_t file) { made_text(file, "/environment", "platform", "caf\xe9"); }
static void latin_configuration(hid_t file) { made_text(file, "/model", "config", "{\"a\": \"\xff\"}"); }

Test(kinds, two_texts) { made_spoiled(two_texts, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_list_of_variable_texts) { made_spoiled(many_texts, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_list_of_bytes_as_text) { made_spoiled(list_of_bytes, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_compound_as_text) { made_spoiled(compound_text, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_reference_as_text) { made_spoiled(reference_text, CLASS_TEXT, "not a readable text"); }
Test(kinds, opaque_bytes_as_text) { made_spoiled(opaque_text, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_text_that_goes_on_behind_its_end) { made_spoiled(hidden_text, CLASS_TEXT, "not a readable text"); }
Test(kinds, a_text_of_latin_1) { made_spoiled(latin_text, CLASS_TEXT, "not valid UTF-8"); }
Test(kinds, an_environment_of_latin_1) { made_spoiled(latin_in_the_environment, "/environment@platform", "not valid UTF-8"); }
Test(kinds, a_configuration_of_no_utf8) { made_spoiled(latin_configuration, "/model@config", "not valid UTF-8"); }

static void escape_in_the_environment(hid_t file) { made_text(file, "/environment", "\x1b[2J", "x"); }

Test(kinds, an_attribute_whose_name_is_unprintable)
{
    made_spoiled(escape_in_the_environment, "/environment", "an attribute's name is not printable");
}

/* An attribute that was made and never written reads as an empty text: that is what a null pointer in the file means. */
static void empty_texts(hid_t file)
{
    attribute_of(file, "/", "producer", text_type(H5T_VARIABLE), 1);
    hid_t space = H5Screate(H5S_NULL), type = text_type(H5T_VARIABLE), attribute;
    made_drop(file, "/", "created");
    attribute = H5Acreate2(file, "created", type, space, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(attribute, 0);
    H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
}

Test(kinds, texts_of_nothing_are_empty)
{
    struct qc_recording recording = made_accepted(empty_texts);
    cr_expect_str_eq(recording.producer, "");
    cr_expect_str_eq(recording.created, "");
    qc_recording_clear(&recording);
}

#define RAISED "/steps/000000@raised"
static void raised_of(hid_t file, hid_t type, hsize_t count) { attribute_of(file, "/steps/000000", "raised", type, count); }
static void raised_as_real(hid_t file) { made_real(file, "/steps/000000", "raised", 0); }
static void raised_as_compound(hid_t file)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(type, "x", 0, H5T_STD_I64LE);
    raised_of(file, type, 1);
}
static void raised_as_bits(hid_t file) { raised_of(file, H5T_STD_B8LE, 1); }
static void raised_as_list(hid_t file) { raised_of(file, H5Tvlen_create(H5T_STD_I64LE), 1); }
static void raised_as_many(hid_t file) { raised_of(file, H5T_STD_I64LE, 4000); }

Test(kinds, a_real_where_a_number_is_expected) { made_spoiled(raised_as_real, RAISED, "not one whole number"); }
Test(kinds, a_compound_where_a_number_is_expected) { made_spoiled(raised_as_compound, RAISED, "not one whole number"); }
Test(kinds, bits_where_a_number_is_expected) { made_spoiled(raised_as_bits, RAISED, "not one whole number"); }
Test(kinds, a_list_where_a_number_is_expected) { made_spoiled(raised_as_list, RAISED, "not one whole number"); }
Test(kinds, many_where_a_number_is_expected) { made_spoiled(raised_as_many, RAISED, "not one whole number"); }

static void endless_shape(hid_t file) { attribute_of(file, MADE_TAP, "shape", H5T_STD_I64LE, 8000); }

Test(kinds, a_shape_of_eight_thousand_axes) { made_spoiled(endless_shape, MADE_TAP "@shape", "at most 8"); }

/* ---- element types ---- */

static void tap_of(hid_t file, hid_t type)
{
    made_stored(file, MADE_TAP, type, H5P_DEFAULT, "float32", 1, (int64_t[]){3}, 0, NULL);
}

static void references(hid_t file) { tap_of(file, H5T_STD_REF_OBJ); }
static void regions(hid_t file) { tap_of(file, H5T_STD_REF_DSETREG); }
static void opaque_bytes(hid_t file) { tap_of(file, H5Tcreate(H5T_OPAQUE, 4)); }
static void arrays(hid_t file) { tap_of(file, H5Tarray_create2(H5T_IEEE_F32LE, 1, (hsize_t[]){4})); }
static void bits(hid_t file) { tap_of(file, H5T_STD_B32LE); }
static void variable_texts(hid_t file) { tap_of(file, text_type(H5T_VARIABLE)); }
static void choices(hid_t file)
{
    int64_t one = 1;
    hid_t type = H5Tenum_create(H5T_STD_I64LE);
    H5Tenum_insert(type, "ONE", &one);
    tap_of(file, type);
}

#define OTHER_TYPE "an element type that is not part of the format"
Test(kinds, references_as_data) { made_spoiled(references, MADE_TAP, OTHER_TYPE); }
Test(kinds, regions_as_data) { made_spoiled(regions, MADE_TAP, OTHER_TYPE); }
Test(kinds, opaque_bytes_as_data) { made_spoiled(opaque_bytes, MADE_TAP, OTHER_TYPE); }
Test(kinds, arrays_as_data) { made_spoiled(arrays, MADE_TAP, OTHER_TYPE); }
Test(kinds, bits_as_data) { made_spoiled(bits, MADE_TAP, OTHER_TYPE); }
Test(kinds, variable_texts_as_data) { made_spoiled(variable_texts, MADE_TAP, OTHER_TYPE); }
Test(kinds, choices_as_data) { made_spoiled(choices, MADE_TAP, OTHER_TYPE); }

static void thirty_two_axes(hid_t file)
{
    int64_t ones[32];
    for (int i = 0; i < 32; i++)
        ones[i] = 1;
    made_floats(file, MADE_TAP, 32, ones, (float[]){1});
    made_ints(file, MADE_TAP, "shape", 8, ones);
}

Test(kinds, thirty_two_axes) { made_spoiled(thirty_two_axes, MADE_TAP, "more than eight axes"); }
