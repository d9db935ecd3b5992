/* A recording may name other files and code to load; nothing of it is opened, whatever the environment says. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "harness/recording/tests/made.h"
#include "reference/base/file.h"
#include "reference/base/text.h"

#define WEIGHT "/model/weights/model.norm.weight"

static const int64_t three[] = {3};
static char target[256], beside[256];
static int watch;

/* A file that must not be opened, and a watch that says whether it was. */
static void begin(void)
{
    made_begin();
    hid_t file = made_recording(made_path(target, "target.h5"));
    H5Fclose(file);
    snprintf(beside, sizeof beside, "../%s", strchr(target + 1, '/') + 1);
    watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    cr_assert_geq(inotify_add_watch(watch, target, IN_OPEN | IN_ACCESS), 0);
}

static void end(void)
{
    close(watch);
    made_end();
}

TestSuite(outside, .init = begin, .fini = end);

static bool touched(void)
{
    char events[4096];
    return read(watch, events, sizeof events) > 0;
}

static void untouched(void (*spoil)(hid_t file), const char *place, const char *words)
{
    made_spoiled(spoil, place, words);
    cr_expect_not(touched(), "the file outside was opened");
}

/* ---- links and storage ---- */

static void link_to(hid_t file, const char *name)
{
    cr_assert_geq(H5Lcreate_external(name, WEIGHT, file, "/steps/000000/taps/lm_head", H5P_DEFAULT, H5P_DEFAULT), 0);
}

static void absolute_link(hid_t file) { link_to(file, target); }
static void relative_link(hid_t file) { link_to(file, "target.h5"); }
static void climbing_link(hid_t file) { link_to(file, beside); }

static void store_in(hid_t file, const char *name)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, name, 0, 12);
    made_stored(file, WEIGHT, H5T_IEEE_F32LE, list, "float32", 1, three, 0, NULL);
    H5Pclose(list);
}

static void absolute_storage(hid_t file) { store_in(file, target); }
static void relative_storage(hid_t file) { store_in(file, "target.h5"); }
static void climbing_storage(hid_t file) { store_in(file, beside); }

static void map_to(hid_t file, hsize_t most)
{
    hsize_t extent = 3, start = 0, stride = 3, count = most == H5S_UNLIMITED ? H5S_UNLIMITED : 1, block = 3;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &extent, &most), links, made;
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, &stride, &count, &block);
    cr_assert_geq(H5Pset_virtual(list, space, target, WEIGHT, space), 0);
    links = H5Pcreate(H5P_LINK_CREATE);
    made_delete(file, WEIGHT);
    made = H5Dcreate2(file, WEIGHT, H5T_IEEE_F32LE, space, links, list, H5P_DEFAULT);
    cr_assert_geq(made, 0);
    H5Dclose(made);
    H5Sclose(space);
    H5Pclose(links);
    H5Pclose(list);
    made_ints(file, WEIGHT, "shape", 1, three);
    made_text(file, WEIGHT, "dtype", "float32");
    while (touched()) /* making it may look at its source */
        continue;
}

static void fixed_map(hid_t file) { map_to(file, 3); }
static void endless_map(hid_t file) { map_to(file, H5S_UNLIMITED); }

Test(outside, absolute_external_link) { untouched(absolute_link, "/steps/000000/taps/lm_head", "link"); }
Test(outside, relative_external_link) { untouched(relative_link, "/steps/000000/taps/lm_head", "link"); }
Test(outside, climbing_external_link) { untouched(climbing_link, "/steps/000000/taps/lm_head", "link"); }
Test(outside, absolute_external_storage) { untouched(absolute_storage, WEIGHT, "external storage"); }
Test(outside, relative_external_storage) { untouched(relative_storage, WEIGHT, "external storage"); }
Test(outside, climbing_external_storage) { untouched(climbing_storage, WEIGHT, "external storage"); }
Test(outside, fixed_virtual_dataset) { untouched(fixed_map, WEIGHT, "virtual storage"); }
Test(outside, unlimited_virtual_dataset) { untouched(endless_map, WEIGHT, "virtual storage"); }

static void set_prefixes(void)
{
    char *folder = qw_path_folder(target);
    setenv("HDF5_EXTFILE_PREFIX", folder, 1);
    setenv("HDF5_EXT_PREFIX", folder, 1);
    setenv("HDF5_VDS_PREFIX", folder, 1);
    free(folder);
}

Test(outside, storage_prefix_of_the_environment)
{
    set_prefixes();
    untouched(relative_storage, WEIGHT, "external storage");
}

Test(outside, link_prefix_of_the_environment)
{
    set_prefixes();
    untouched(relative_link, "/steps/000000/taps/lm_head", "link");
}

/* The library alone does open it: else the tests above would show nothing. */
Test(outside, without_the_checks_it_is_opened)
{
    char path[256];
    float read_back[3];
    hid_t file = made_recording(made_path(path, "a.h5"));
    absolute_storage(file);
    cr_expect_not(touched());
    hid_t dataset = H5Dopen2(file, WEIGHT, H5P_DEFAULT);
    cr_expect_geq(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, read_back), 0);
    cr_expect(touched());
    H5Dclose(dataset);
    H5Fclose(file);
}

/* ---- plug-ins ---- */

static char canary[256];

/* A library whose constructor leaves a mark, in a folder that libhdf5 searches for filters. */
static void set_plugin(void)
{
    char folder[256], source[256], library[256];
    struct qw_text text = {0};
    struct qw_error error = {0};
    made_path(canary, "sung");
    made_path(source, "canary.c");
    made_path(library, "libcanary.so");
    qw_text_add(&text, "#include <stdio.h>\n__attribute__((constructor)) static void sing(void)\n");
    qw_text_addf(&text, "{ fclose(fopen(\"%s\", \"w\")); }\n", canary);
    cr_assert(qw_file_write(source, text.bytes, text.length, &error));
    qw_text_free(&text);
    qw_text_addf(&text, "cc -shared -fPIC -o %s %s", library, source);
    cr_assert_eq(system(text.bytes), 0);
    qw_text_free(&text);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(library, '/') - library), library);
    cr_assert_geq(H5PLprepend(folder), 0);
}

static void filter_of_a_plugin(hid_t file)
{
    hsize_t chunk = 3;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    H5PLset_loading_state(0);
    H5Pset_filter(list, 32999, H5Z_FLAG_OPTIONAL, 0, NULL);
    made_stored(file, WEIGHT, H5T_IEEE_F32LE, list, "float32", 1, three, H5T_NATIVE_FLOAT, (float[]){1, 2, 3});
    H5PLset_loading_state(H5PL_ALL_PLUGIN);
    H5Pclose(list);
}

Test(outside, no_plugin_is_loaded)
{
    set_plugin();
    made_spoiled(filter_of_a_plugin, WEIGHT, "a filter that is not read");
    cr_expect_neq(access(canary, F_OK), 0, "the constructor of a plug-in ran");
    unsigned state = H5PL_ALL_PLUGIN;
    cr_expect_geq(H5PLget_loading_state(&state), 0);
    cr_expect_eq(state, 0, "and none could be loaded");
}

/* The filter was left out when the file was written, so a reader asks for it only when it is marked as used: writing
 * with loading allowed is what makes the library look for it. */
Test(outside, without_the_checks_the_plugin_is_loaded)
{
    char path[256];
    hsize_t chunk = 3;
    set_plugin();
    hid_t file = made_recording(made_path(path, "a.h5")), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_filter(list, 32999, H5Z_FLAG_OPTIONAL, 0, NULL);
    made_stored(file, WEIGHT, H5T_IEEE_F32LE, list, "float32", 1, three, H5T_NATIVE_FLOAT, (float[]){1, 2, 3});
    cr_expect_eq(access(canary, F_OK), 0);
    H5Pclose(list);
    H5Fclose(file);
}
