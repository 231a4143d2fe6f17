/* test_trial.c: a prompt under many policies at once, against sessions that do one thing each. */
#include "eval/trial.h"
#include "mneme/text.h"
#include "session_fixture.h"
#include "text/utf8.h"

enum { N_CTX = 700, N_NEW = 12 };

static const mn__case cases[] = {
    {.policy = "full", .budget = ""},
    {.policy = "full", .budget = "", .no_context = true},
    {.policy = "h2o", .budget = "60"},
    {.policy = "snapkv", .budget = "60%"},
    {.policy = "window:share=layer,pool=7", .budget = "80"},
    {.policy = "streaming:chunk=64,every=1", .budget = "64"},
    {.policy = "random", .budget = "60"},
};
enum { N_CASE = sizeof cases / sizeof *cases };

static const mn__task task = {.name = "own",
                              .asks = MN__ASKS_ANSWER,
                              .metric = "exact",
                              .prompt = "Read.\n{context}\nQ: {input}\nA:",
                              .max_new = N_NEW};

typedef struct fixture {
    mn_model *m;
    mn__row row;
    mn__ask ask, bare;
    char context[1200];
    const char *answers[1];
} fixture;

static fixture *make(void)
{
    static fixture f;
    mn_diag diag = {""};
    size_t n = 0;
    memset(&f, 0, sizeof f);
    f.m = fix_model("llama");
    for (int i = 0; n < 300; i++)
        n +=
            (size_t)snprintf(f.context + n, sizeof f.context - n, "hello %d the world and ", i * i);
    f.answers[0] = "the wide world";
    f.row = (mn__row){.context = f.context,
                      .input = "who?",
                      .answers = f.answers,
                      .n_answer = 1,
                      .id = "1",
                      .dataset = "",
                      .language = "en"};
    mn__ask_params p = {.model = f.m, .n_ctx = N_CTX, .max_gold = 9};
    if (mn__ask_make(&f.ask, &task, &f.row, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    p.no_context = true;
    assert_int_equal(mn__ask_make(&f.bare, &task, &f.row, &p, &diag), MN_OK);
    return &f;
}

static void drop(fixture *f)
{
    mn__ask_free(&f->ask);
    mn__ask_free(&f->bare);
    mn_model_free(f->m);
}

static mn_session_params params_of(const char *policy, const char *budget)
{
    mn_session_params p = fix_params(policy, budget);
    p.n_ctx = N_CTX + 64;
    return p;
}

static mn__trial *new_trial(const fixture *f, bool evict_context, size_t n_side)
{
    mn_diag diag = {""};
    mn__trial *t = NULL;
    const mn__trial_params p = {.model = f->m,
                                .session = params_of("full", ""),
                                .cases = cases,
                                .n_case = N_CASE,
                                .evict_context = evict_context,
                                .n_side = n_side};
    if (mn__trial_new(&t, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return t;
}

static double nll_of(const float *l, size_t n, int32_t token)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, (double)l[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)l[i] - top);
    return top + log(sum) - (double)l[token];
}

/* One case by hand: a session of its own, read, cut, asked, stepped. */
static void hold_case(const fixture *f, const mn__case *c, bool evict_context, const mn__outcome *o)
{
    mn_diag diag = {""};
    mn_model_info info;
    const float *l = NULL;
    const mn__ask *ask = c->no_context ? &f->bare : &f->ask;
    const mn__reading *r = &ask->reading[0];
    size_t cut = evict_context ? r->n_context : r->n, n_text = 0;
    mn_session_params p = params_of(c->policy, c->budget);
    mn_session *s = fix_session(f->m, &p), *walk = NULL;
    char text[1024] = "";
    mn_model_get_info(f->m, &info);
    assert_int_equal(mn_session_read(s, r->token, cut, true, &l, NULL, NULL, &diag), MN_OK);
    if (cut < r->n)
        assert_int_equal(
            mn_session_read(s, r->token + cut, r->n - cut, false, &l, NULL, NULL, &diag), MN_OK);
    assert_int_equal(mn_session_fork(&walk, s, &diag), MN_OK);
    const mn__continuation *gold = &f->ask.reading[0].gold[0];
    const float *at = l;
    assert_int_equal(o->n_gold, gold->n);
    for (size_t i = 0; i < gold->n; i++) {
        double want = nll_of(at, info.n_vocab, gold->token[i]);
        if (fabs((double)o->nll[i] - want) > 1e-5)
            fail_msg("%s@%s: token %zu: nll %g, %g wanted", c->policy, c->budget, i,
                     (double)o->nll[i], want);
        assert_int_equal(mn_session_step(walk, gold->token[i], &at, &diag), MN_OK);
    }
    for (size_t i = 0; i < N_NEW; i++) {
        int32_t best = 0;
        for (size_t k = 1; k < info.n_vocab; k++)
            if (l[k] > l[best]) best = (int32_t)k;
        if (mn_token_is_end(f->m, best)) break;
        mn_text_buf piece = {.data = text + n_text, .cap = sizeof text - n_text - 1};
        assert_int_equal(mn_token_text(f->m, best, false, &piece, &diag), MN_OK);
        n_text += piece.n;
        assert_int_equal(mn_session_step(s, best, &l, &diag), MN_OK);
    }
    text[n_text] = '\0';
    assert_non_null(o->output);
    if (mn__utf8_count_broken(text, n_text) == 0 && strlen(text) == n_text)
        assert_string_equal(o->output, text);
    mn_session_free(walk);
    mn_session_free(s);
}

static void hold(bool evict_context, size_t n_side)
{
    mn_diag diag = {""};
    fixture *f = make();
    mn__trial *t = new_trial(f, evict_context, n_side);
    bool want[N_CASE];
    mn__outcome out[N_CASE] = {{0}};
    for (size_t i = 0; i < N_CASE; i++) want[i] = true;
    for (int again = 0; again < 2; again++) { /* what a prompt leaves behind is nothing */
        if (mn__trial_run(t, &task, &f->ask, &f->bare, want, out, &diag) != MN_OK)
            fail_msg("%s", diag.text);
        for (size_t i = 0; i < N_CASE; i++) {
            assert_true(out[i].done && !*out[i].why && out[i].kept);
            hold_case(f, &cases[i], evict_context, &out[i]);
        }
        for (size_t k = 0; k < out[0].n_gold; k++) assert_true(out[0].kl[k] < 1e-9F);
        double kl = 0;
        for (size_t k = 0; k < out[6].n_gold; k++) kl += (double)out[6].kl[k];
        assert_true(kl > 1e-6);
        assert_true(out[2].share_prompt < 0.5 && out[0].share_prompt == 1.0);
        assert_true(out[2].kv_bytes < out[0].kv_bytes && out[2].peak_bytes <= out[0].peak_bytes);
        assert_true(out[5].peak_bytes < out[0].peak_bytes); /* forgets while it reads */
        for (size_t i = 0; i < N_CASE; i++) mn__outcome_free(&out[i]);
    }
    assert_true(mn__trial_is_reader(t, 5) && !mn__trial_is_reader(t, 2));
    mn__trial_free(t);
    drop(f);
}

static void test_behind_the_prompt(void **state)
{
    (void)state;
    hold(false, 0);
}

static void test_behind_the_context(void **state)
{
    (void)state;
    hold(true, 0);
}

static void test_few_side_by_side(void **state)
{
    (void)state;
    hold(false, 2);
}

/* Some cases alone, and a budget that cannot hold what must stay. */
static void test_some(void **state)
{
    (void)state;
    mn_diag diag = {""};
    static const mn__case tight[] = {{.policy = "h2o", .budget = "60"},
                                     {.policy = "full", .budget = "200K"}};
    fixture *f = make();
    mn__trial *t = NULL;
    mn__outcome out[2] = {{0}};
    bool want[2] = {false, true};
    mn__trial_params p = {
        .model = f->m, .session = params_of("full", ""), .cases = tight, .n_case = 2};
    assert_int_equal(mn__trial_new(&t, &p, &diag), MN_OK);
    assert_int_equal(mn__trial_run(t, &task, &f->ask, &f->bare, want, out, &diag), MN_OK);
    assert_true(!out[0].done && !out[0].output && out[1].done);
    if (!strstr(out[1].why, "drops nothing")) fail_msg("said: '%s'", out[1].why);
    mn__outcome_free(&out[0]);
    mn__outcome_free(&out[1]);
    mn__trial_free(t);
    static const mn__case wrong[] = {{.policy = "h20", .budget = "60"}};
    const mn__case small = {.policy = "random", .budget = "1"},
                   none = {.policy = "random", .budget = "150%"};
    assert_int_equal(mn__case_check(f->m, &p.session, &tight[0], &diag), MN_OK);
    assert_int_equal(mn__case_check(f->m, &p.session, &wrong[0], &diag), MN_EUSAGE);
    assert_int_equal(mn__case_check(f->m, &p.session, &none, &diag), MN_EUSAGE);
    assert_int_equal(mn__case_check(f->m, &p.session, &small, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "leaves 1 tokens"));
    p.cases = wrong;
    p.n_case = 1;
    assert_int_equal(mn__trial_new(&t, &p, &diag), MN_EUSAGE);
    assert_null(t);
    drop(f);
}

/* Groups of which nothing is asked take no step, alone or beside the full cache. */
static void test_none(void **state)
{
    (void)state;
    static const mn__case some[] = {{.policy = "full", .budget = "200K"},
                                    {.policy = "h2o", .budget = "60"},
                                    {.policy = "random", .budget = "60"}};
    fixture *f = make();
    for (int how = 0; how < 4; how++) {
        mn_diag diag = {""};
        mn__trial *t = NULL;
        mn__outcome out[3] = {{0}};
        const bool want[] = {how < 2, how >= 2, false};
        const mn__trial_params p = {.model = f->m,
                                    .session = params_of("full", ""),
                                    .cases = some,
                                    .n_case = 3,
                                    .alone = how % 2,
                                    .n_side = 1};
        assert_int_equal(mn__trial_new(&t, &p, &diag), MN_OK);
        if (mn__trial_run(t, &task, &f->ask, &f->bare, want, out, &diag) != MN_OK)
            fail_msg("%s", diag.text);
        assert_true(!*out[0].why == (how >= 2) && !out[1].output == (how < 2));
        for (size_t i = 0; i < 3; i++) mn__outcome_free(&out[i]);
        mn__trial_free(t);
    }
    drop(f);
}

static bool stop_at_once(void *ctx)
{
    int *left = ctx;
    return (*left)-- <= 0;
}

static void test_stop(void **state)
{
    (void)state;
    fixture *f = make();
    int n_stopped = 0;
    for (int when = 0; when < 40; when += 3) {
        mn_diag diag = {""};
        int left = when;
        mn__trial *t = NULL;
        bool want[N_CASE];
        mn__outcome out[N_CASE] = {{0}};
        const mn__trial_params p = {.model = f->m,
                                    .session = params_of("full", ""),
                                    .cases = cases,
                                    .n_case = N_CASE,
                                    .stop = stop_at_once,
                                    .ctx = &left};
        for (size_t i = 0; i < N_CASE; i++) want[i] = true;
        assert_int_equal(mn__trial_new(&t, &p, &diag), MN_OK);
        mn_status st = mn__trial_run(t, &task, &f->ask, &f->bare, want, out, &diag);
        n_stopped += st == MN_ECANCEL;
        assert_true(st == MN_ECANCEL || (st == MN_OK && when > 20));
        for (size_t i = 0; i < N_CASE; i++) {
            assert_true(out[i].done == (st == MN_OK));
            if (st != MN_OK) assert_null(out[i].output);
            mn__outcome_free(&out[i]);
        }
        mn__trial_free(t);
    }
    assert_true(n_stopped >= 7);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behind_the_prompt),
        cmocka_unit_test(test_behind_the_context),
        cmocka_unit_test(test_few_side_by_side),
        cmocka_unit_test(test_some),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
