/* test_row_look.c: rows that no candidate is told apart by are left out, those alone. */
#include "evolve/row_look.h"

#include "eval/ask.h"
#include "evolve/rater_trial.h"
#include "rater_fixture.h"

enum {
    P = 3,
    MAX_GOLD = 6,
    SHORT = 1 << 0 | 1 << 2,
    EMPTY = 1 << 1,
    NONE = 0,
    ALL = (1 << EV_PROMPTS) - 1
};

static void write_answers(const char *path, const char *const answer[EV_PROMPTS])
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int row = 0; row < EV_PROMPTS; row++) {
        fprintf(file, "{\"context\":\"");
        for (int i = 0; i < 12; i++) fprintf(file, "hello %d the world ", (i * i + 7 * row) % 97);
        fprintf(file, "\",\"input\":\"who?\",\"answers\":[\"%s\"]}\n", answer[row]);
    }
    fclose(file);
}

/* Rows 0 and 2 have answers of one token. */
static ev_fixture *make(void)
{
    static const char *const answer[] = {"the", "the sea", "and", "world"};
    ev_fixture *f = ev_make("linear");
    write_answers(f->rows, answer);
    return f;
}

/* And row 1 one of none. */
static ev_fixture *make_empty(void)
{
    static const char *const answer[] = {"the", "", "and", "world"};
    ev_fixture *f = ev_make("linear");
    write_answers(f->rows, answer);
    return f;
}

static mn__row_look look_of(const ev_fixture *f)
{
    return (mn__row_look){
        .model = f->m, .n_ctx = EV_CTX, .max_gold = MAX_GOLD, .leaves_mute = true};
}

/* The rows of what is left. */
static void expect_out(const ev_fixture *f, mn__row_look *l, unsigned out)
{
    mn__deck *d;
    mn_diag diag = {""};
    mn__deck_params p = ev_deck(f);
    uint64_t n = 0;
    const mn__tokens tokens = mn__model_tokens(f->m);
    p.source.tokens = &tokens;
    p.wants = mn__row_look_wants;
    p.ctx = l;
    if (mn__deck_open(&d, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    for (uint64_t row = 0; row < EV_PROMPTS; row++)
        if (!(out >> row & 1)) assert_int_equal(mn__deck_get_item(d, n++).row, row);
    assert_int_equal(mn__deck_n_item(d), n);
    assert_int_equal(l->n_row, EV_PROMPTS);
    assert_int_equal(l->n_mute, EV_PROMPTS - n);
    mn__deck_close(d);
}

static void test_which(void **state)
{
    (void)state;
    ev_fixture *f = make();
    mn__row_look l = look_of(f);
    expect_out(f, &l, SHORT);
    l = look_of(f);
    l.leaves_mute = false;
    expect_out(f, &l, NONE);
    l = look_of(f);
    l.max_gold = 1; /* no more of any answer is looked at */
    expect_out(f, &l, ALL);
    l = look_of(f);
    l.evict_context = true; /* the question is read in between */
    expect_out(f, &l, NONE);
    l = look_of(f);
    l.chunk = 64; /* they are longer */
    expect_out(f, &l, NONE);
    l = look_of(f);
    l.chunk = 8192;
    expect_out(f, &l, SHORT);
    l = look_of(f);
    l.n_ctx = 20; /* too long to be asked: who rates them says so */
    expect_out(f, &l, NONE);
    ev_drop(f);
}

/* An answer of no token has no likelihood, wherever something is forgotten. */
static void test_empty(void **state)
{
    (void)state;
    ev_fixture *f = make_empty();
    mn__row_look l = look_of(f);
    expect_out(f, &l, SHORT | EMPTY);
    l = look_of(f);
    l.leaves_mute = false; /* it may have a score */
    expect_out(f, &l, NONE);
    l = look_of(f);
    l.evict_context = true;
    expect_out(f, &l, EMPTY);
    l = look_of(f);
    l.chunk = 64;
    expect_out(f, &l, EMPTY);
    ev_drop(f);
}

/* Losses of P candidates on the row. */
static void rate_row(const ev_fixture *f, const mn__trial_rater_params *p, uint64_t row,
                     mn__rating *out)
{
    static double x[P * 64];
    mn__rater r;
    mn_diag diag = {""};
    assert_true(f->n_param <= 64);
    for (size_t i = 0; i < P * f->n_param; i++) x[i] = mn__rng_normal(4, 1, i, 0);
    if (mn__trial_rater_new(&r, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (r.rate(r.ctx, 0, row, x, P, out, &diag) != MN_OK) fail_msg("%s", diag.text);
    r.free(r.ctx);
}

/* Do all candidates lose nothing on the row? */
static bool is_level(const ev_fixture *f, const mn__trial_rater_params *p, uint64_t row)
{
    mn__rating out[P];
    rate_row(f, p, row, out);
    assert_true(out[0].kept_share < 0.9 || strstr(p->policy, "chunk=8192"));
    return out[0].loss == 0 && out[1].loss == 0 && out[2].loss == 0;
}

static mn__trial_rater_params rater_of(const ev_fixture *f)
{
    static const char *const budget[] = {"30%"};
    return (mn__trial_rater_params){.model = f->m,
                                    .session = ev_session(1),
                                    .policy = f->policy,
                                    .budget = budget,
                                    .n_budget = 1,
                                    .deck = ev_deck(f),
                                    .population = P,
                                    .n_worker = 1,
                                    .max_gold = MAX_GOLD,
                                    .bank_bytes = (size_t)1 << 30};
}

/* What is left out is what cannot tell: every candidate's loss is 0 there, to the bit. */
static void test_why(void **state)
{
    (void)state;
    ev_fixture *f = make();
    char reading[700];
    mn__trial_rater_params p = rater_of(f);
    for (int loss = MN_EVOLVE_LOSS_KL; loss <= MN_EVOLVE_LOSS_NLL; loss++) {
        p.loss = (mn_evolve_loss)loss;
        for (uint64_t row = 0; row < EV_PROMPTS; row++)
            assert_int_equal(is_level(f, &p, row), SHORT >> row & 1);
    }
    p.evict_context = true;
    assert_false(is_level(f, &p, 0));
    p.evict_context = false;
    snprintf(reading, sizeof reading, "namm:file=%s,chunk=64", f->file);
    p.policy = reading;
    assert_false(is_level(f, &p, 0));
    snprintf(reading, sizeof reading, "namm:file=%s,chunk=8192", f->file);
    assert_true(is_level(f, &p, 0));
    ev_drop(f);
}

/* Or on which every candidate would fail. */
static void test_why_empty(void **state)
{
    (void)state;
    ev_fixture *f = make_empty();
    mn__rating out[P];
    mn__trial_rater_params p = rater_of(f);
    p.evict_context = true;
    rate_row(f, &p, 1, out);
    for (size_t i = 0; i < P; i++) assert_true(isnan(out[i].loss));
    rate_row(f, &p, 3, out);
    for (size_t i = 0; i < P; i++) assert_false(isnan(out[i].loss));
    ev_drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_why_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
