/* test_evolve_namm.c: what mn_evolve_namm refuses of a caller before a prompt is read. */
#include <unistd.h>

#include "mneme/namm.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options_of_the_caller)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
