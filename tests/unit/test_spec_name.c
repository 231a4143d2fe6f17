/* test_spec_name.c: policies in lists, and their names in records: a file's name and content, not
 * its path. */
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "mneme/policy.h"
#include "namm_fixture.h"

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *first;
    } t[] = {{"", ""},
             {"h2o", "h2o"},
             {"h2o,knorm", "h2o"},
             {"snapkv:window=32,pool=7,h2o", "snapkv:window=32,pool=7"},
             {"window:share=layer,pool=7,adakv:base=tova", "window:share=layer,pool=7"},
             {"namm:file=/a:b/c.gguf,rule=topk@25%,namm", "namm:file=/a:b/c.gguf,rule=topk@25%"},
             {"namm:recent=4,file=/a:b/c.gguf,full", "namm:recent=4,file=/a:b/c.gguf"},
             {"h2o,", "h2o"},
             {",h2o", ""}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_int_equal(mn_policy_first(t[i].list), strlen(t[i].first));
}

static void expect_name(const char *spec, const char *wanted)
{
    char name[1024];
    mn_diag diag = {""};
    if (mn_policy_name(spec, name, sizeof name, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_string_equal(name, wanted);
}

/* A NAMM whose numbers are drawn with this scale, in folder `dir` beside the test's files; its
 * hash. */
static uint64_t put_file(const char *dir, double scale, char *path, size_t cap)
{
    struct nf n;
    mn_diag diag = {""};
    mn__map map;
    nf_init(&n, "age dc", scale);
    snprintf(path, cap, "%s", tiny_model_path("names"));
    mkdir(path, 0777);
    snprintf(path, cap, "%s/%s", tiny_model_path("names"), dir);
    mkdir(path, 0777);
    snprintf(path, cap, "%s/%s/x.namm.gguf", tiny_model_path("names"), dir);
    if (mn__namm_write(&n.namm, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn__map_open(&map, path, &diag), MN_OK);
    const uint64_t hash = mn__hash64(map.data, map.size, 0);
    mn__map_close(&map);
    return hash;
}

static void drop_files(void)
{
    char path[PATH_MAX];
    for (const char *dir = "a"; *dir; dir = *dir == 'a' ? "b" : "") {
        snprintf(path, sizeof path, "%s/%s/x.namm.gguf", tiny_model_path("names"), dir);
        unlink(path);
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
    rmdir(tiny_model_path("names"));
}

/* The same file elsewhere has the same name, another one in its place has not. */
static void test_names(void **state)
{
    (void)state;
    char a[PATH_MAX], b[PATH_MAX], spec[PATH_MAX + 64], wanted[256];
    const uint64_t one = put_file("a", 1, a, sizeof a);
    assert_true(put_file("b", 1, b, sizeof b) == one);
    expect_name("full", "full");
    expect_name("snapkv:kernel=7", "snapkv:kernel=7"); /* as it was written */
    expect_name("namm", "namm");
    snprintf(wanted, sizeof wanted, "namm:recent=4,file=x.namm.gguf#%016llx,rule=topk",
             (unsigned long long)one);
    snprintf(spec, sizeof spec, "namm:recent=4,file=%s,rule=topk", a);
    expect_name(spec, wanted);
    snprintf(spec, sizeof spec, "namm:recent=4,file=%s,rule=topk", b);
    expect_name(spec, wanted);
    const uint64_t two = put_file("b", 2, b, sizeof b);
    assert_true(two != one);
    snprintf(wanted, sizeof wanted, "adakv:base=namm,file=x.namm.gguf#%016llx",
             (unsigned long long)two);
    snprintf(spec, sizeof spec, "adakv:base=namm,file=%s", b);
    expect_name(spec, wanted);
    drop_files();
}

/* A hash behind the path is held against the file, also in a session that is made later. */
static void test_pins(void **state)
{
    (void)state;
    char a[PATH_MAX], spec[PATH_MAX + 64], *pinned, small[32];
    mn_diag diag = {""};
    struct pf f = pf_random(2);
    const uint64_t hash = put_file("a", 1, a, sizeof a);
    snprintf(spec, sizeof spec, "namm:file=%s,rule=topk", a);
    assert_int_equal(mn__policy_pin(&pinned, spec, false, &diag), MN_OK);
    snprintf(spec, sizeof spec, "namm:file=%s#%016llx,rule=topk", a, (unsigned long long)hash);
    assert_string_equal(pinned, spec);
    pf_open(&f, pinned, "50%");
    snprintf(spec, sizeof spec, "file=x.namm.gguf#%016llx", (unsigned long long)hash);
    assert_non_null(strstr(mn__policy_spec(f.policy), spec));
    assert_null(strstr(mn__policy_spec(f.policy), "names"));
    pf_close(&f);
    char *again;
    assert_int_equal(mn__policy_pin(&again, pinned, false, &diag), MN_OK);
    assert_string_equal(again, pinned);
    mn__free(again);
    assert_int_equal(mn_policy_name(pinned, small, sizeof small, &diag), MN_ERANGE);
    put_file("a", 2, a, sizeof a);
    assert_int_equal(mn__policy_pin(&again, pinned, true, &diag), MN_EINPUT);
    assert_null(again);
    assert_non_null(strstr(diag.text, "a NAMM with hash "));
    struct pf later = pf_random(2);
    assert_int_equal(pf_try(&later, pinned, "50%"), MN_EINPUT);
    assert_non_null(strstr(later.diag.text, "a NAMM with hash "));
    pf_close(&later);
    mn__free(pinned);
    drop_files();
}

static void test_refused(void **state)
{
    (void)state;
    char name[64];
    mn_diag diag = {""};
    assert_int_equal(mn_policy_name("namn", name, sizeof name, &diag), MN_EUSAGE);
    assert_int_equal(mn_policy_name("knorm:file=x", name, sizeof name, &diag), MN_EUSAGE);
    assert_int_equal(mn_policy_name("namm:file=/nowhere/x.gguf", name, sizeof name, &diag), MN_EIO);
    assert_non_null(strstr(diag.text, "/nowhere/x.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
