/* test_evolve_namm.c: what mn_evolve_namm refuses of a caller before a prompt is read. */
#include <unistd.h>

#include "evolve/evolve_namm.h"
#include "evolve/run_state.h"
#include "rater_fixture.h"

static const char *const half[] = {"50%"};

static mn_evolve_namm_params params_of(const ev_fixture *f, const char *dir)
{
    static mn_evolve_stage stage[1];
    mn_evolve_namm_params p;
    mn_evolve_namm_params_default(&p);
    stage[0] = (mn_evolve_stage){.tasks = "niah", .fidelity = "frozen", .generations = 1};
    p.run.dir = dir;
    p.run.stage = stage;
    p.run.n_stage = 1;
    p.session = ev_session(1);
    p.start = f->file;
    p.budget = half;
    p.n_budget = 1;
    p.model = "tiny";
    p.command = "test";
    return p;
}

static void refuse(const ev_fixture *f, const mn_evolve_namm_params *p, const char *sentence)
{
    mn_evolve_result result;
    mn_diag diag = {""};
    assert_int_equal(mn_evolve_namm(f->m, p, &result, &diag), MN_EUSAGE);
    if (!strstr(diag.text, sentence)) fail_msg("`%s` in: %s", sentence, diag.text);
    assert_null(result.search);
}

static void drop_folder(const char *dir)
{
    char path[600];
    snprintf(path, sizeof path, "%s/start.namm.gguf", dir);
    unlink(path);
    rmdir(dir);
}

/* Options of the caller's that say what the library itself notes would hide one another. */
static void test_options_of_the_caller(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    char dir[500];
    snprintf(dir, sizeof dir, "%s", tiny_model_path("evolve-namm"));
    mn_evolve_namm_params p = params_of(f, dir);
    p.run.options = "{\"product\":\"wide\",\"limit\":3}";
    refuse(f, &p, "`limit` is noted already");
    p.run.options = "{\"lanes\":3}";
    p.n_lane = 2;
    refuse(f, &p, "`lanes` is noted already");
    p.run.options = "[1]";
    refuse(f, &p, "a JSON object wanted");
    p.run.options = "{\"product\"";
    refuse(f, &p, "a JSON object wanted");
    p.n_budget = 0;
    refuse(f, &p, "a budget wanted");
    drop_folder(dir);
    ev_drop(f);
}

/* The folder's name stands in a policy's text. */
static void test_names_of_folders(void **state)
{
    enum { MOST = 491 };
    (void)state;
    ev_fixture *f = ev_make("linear");
    char dir[MOST + 2];
    mn_evolve_result result;
    mn_diag diag = {""};
    mn_evolve_namm_params p = params_of(f, "runs/a,b");
    refuse(f, &p, "folder `runs/a,b`: no comma and at most 491 bytes from the root on wanted");
    memset(dir, 'x', sizeof dir);
    memcpy(dir, "/dev/null/", 10);
    dir[MOST + 1] = 0;
    p.run.dir = dir;
    refuse(f, &p, "no comma and at most 491 bytes from the root on wanted");
    dir[MOST] = 0; /* short enough to be looked at */
    assert_int_equal(mn_evolve_namm(f->m, &p, &result, &diag), MN_EIO);
    ev_drop(f);
}

/* What a run notes of the options that ratings follow from; the caller's (json_decref). */
static json_t *noted(const ev_fixture *f, const mn_evolve_namm_params *p)
{
    mn_diag diag = {""};
    mn__namm_job job = {0};
    if (mn__namm_job_open(&job, f->m, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    json_t *doc = json_loads(mn__draft_text(&job.options), 0, NULL);
    assert_true(json_is_object(doc));
    mn__namm_job_close(&job);
    return doc;
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Do runs of both go on in each other's place? */
static bool are_same(const json_t *a, const json_t *b)
{
    mn_diag diag = {""};
    const bool same = mn__run_same("x", a, b, NULL, &diag) == MN_OK;
    assert_int_equal(mn__run_same("x", b, a, NULL, &diag) == MN_OK, same);
    return same;
}

/* Layers that are captured and the words of a metric: noted where they are not what they were
 * before they were noted. */
static void test_noted_since(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    char dir[500], words[500], copy[500], command[1600];
    mn_diag diag = {""};
    snprintf(dir, sizeof dir, "%s", tiny_model_path("evolve-namm"));
    snprintf(words, sizeof words, "%s", tiny_model_path("words"));
    snprintf(copy, sizeof copy, "%s", tiny_model_path("words-elsewhere"));
    mn_evolve_namm_params p = params_of(f, dir);
    json_t *was = noted(f, &p), *now;
    assert_null(json_object_get(was, "n_layer"));
    assert_null(json_object_get(was, "dictionary"));

    p.n_layer = 4;
    now = noted(f, &p);
    assert_int_equal(json_integer_value(json_object_get(now, "n_layer")), 4);
    assert_false(are_same(was, now));
    assert_int_equal(mn__run_same("x", now, was, NULL, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "n_layer 4 wanted, none found"));
    json_object_del(was, "format"); /* of a version that noted little: as it was */
    assert_int_equal(mn__run_same("x", now, was, NULL, &diag), MN_OK);
    json_decref(now);
    json_decref(was);

    snprintf(command, sizeof command, "mkdir -p %s/part", words);
    assert_int_equal(system(command), 0);
    put_file(words, "dict.txt", "a 1");
    put_file(words, "part/start.p", "b 2");
    p = params_of(f, dir);
    p.dictionary = words;
    now = noted(f, &p);
    assert_null(json_object_get(now, "dictionary")); /* of no matter to a divergence */
    json_decref(now);
    p.loss = MN_EVOLVE_LOSS_METRIC;
    was = noted(f, &p);
    assert_int_equal(strlen(json_string_value(json_object_get(was, "dictionary"))), 16);
    snprintf(command, sizeof command, "cp -r %s %s && rm -r %s", words, copy, words);
    assert_int_equal(system(command), 0);
    p.dictionary = copy;
    now = noted(f, &p);
    assert_true(are_same(was, now)); /* wherever it lies */
    json_decref(now);
    put_file(copy, "part/start.p", "b 3");
    now = noted(f, &p);
    assert_false(are_same(was, now));
    json_decref(now);
    p.dictionary = NULL;
    now = noted(f, &p);
    assert_false(are_same(was, now));
    json_decref(now);
    p.dictionary = words;
    mn_evolve_result result;
    assert_int_equal(mn_evolve_namm(f->m, &p, &result, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "cannot read the dictionary"));
    json_decref(was);
    snprintf(command, sizeof command, "rm -r %s", copy);
    assert_int_equal(system(command), 0);
    drop_folder(dir);
    ev_drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options_of_the_caller),
                                       cmocka_unit_test(test_names_of_folders),
                                       cmocka_unit_test(test_noted_since)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
