/* test_trainer.c: the loop of trainings: passes, rates, threads, reports, faults. */
#include "train_fixture.h"

#include <math.h>

static mn_diag diag;
static mn__config config;
static counting source;

static mn__trainer *begin(const mn__config *c)
{
    mn__trainer *t;
    counting_init(&source, c);
    if (mn__trainer_new(&t, c, &source.source, &source.source, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    return t;
}

static mn__trainer *begin_with(mn__arch_kind arch, const char *const option[3])
{
    small_config(&config, arch);
    for (size_t i = 0; i < 3 && option[i]; i++) set_option(&config, option[i]);
    finish_config(&config);
    return begin(&config);
}

static void steps(mn__trainer *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mn__trainer_step(t, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static void assert_says(const char *part)
{
    if (!strstr(diag.text, part)) fail_msg("'%s' wanted in: %s", part, diag.text);
}

static void assert_same(const mn__trainer *a, const mn__trainer *b)
{
    const size_t bytes = a->learner->n_w * sizeof *a->learner->w;
    assert_int_equal(a->learner->n_w, b->learner->n_w);
    assert_memory_equal(a->learner->w, b->learner->w, bytes);
    assert_memory_equal(a->opt->m, b->opt->m, bytes);
    assert_memory_equal(a->opt->v, b->opt->v, bytes);
}

/* Rows that are owed updates, one thread or three, validations in between: the same bits. */
static void test_same_bits(void **state)
{
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        double loss;
        mn__trainer *dense =
            begin_with(arch, (const char *const[3]){"train.update=dense", "train.threads=1"});
        mn__trainer *deferred =
            begin_with(arch, (const char *const[3]){"train.update=deferred", "train.threads=3"});
        steps(dense, 12);
        steps(deferred, 5);
        assert_int_equal(mn__trainer_validate(deferred, &loss, &diag), MN_OK);
        steps(deferred, 7);
        mn__adamw_flush(deferred->opt, deferred->team);
        assert_true(dense->last.loss == deferred->last.loss);
        assert_true(dense->last.norm == deferred->last.norm);
        assert_same(dense, deferred);
        mn__trainer_free(dense);
        mn__trainer_free(deferred);
    }
}

/* Looking at other rows must not count as having read them. */
static void test_selective_looks(void **state)
{
    static const char *const option[3] = {"train.update=selective"};
    double loss;
    (void)state;
    mn__trainer *plain = begin_with(MN__ARCH_ULTRAMEM, option),
                *looking = begin_with(MN__ARCH_ULTRAMEM, option);
    for (size_t i = 0; i < 6; i++) {
        steps(plain, 1);
        steps(looking, 1);
        assert_int_equal(mn__trainer_validate(looking, &loss, &diag), MN_OK);
    }
    assert_same(plain, looking);
    mn__trainer_free(plain);
    mn__trainer_free(looking);
}

/* Four sequences in one pass or in two: the same loss and, up to the order of sums, gradients. */
static void test_passes(void **state)
{
    (void)state;
    mn__trainer *two = begin_with(MN__ARCH_DENSE, (const char *const[3]){"train.batch=2"});
    mn__trainer *one =
        begin_with(MN__ARCH_DENSE, (const char *const[3]){"train.batch=4", "train.passes=1"});
    steps(two, 1);
    steps(one, 1);
    assert_true(fabs(one->last.loss - two->last.loss) < 1e-6);
    assert_true(fabs(one->last.norm - two->last.norm) < 1e-5 * one->last.norm);
    assert_int_equal(one->last.tokens, 4 * 12);
    assert_int_equal(two->last.tokens, 4 * 12);
    mn__trainer_free(one);
    mn__trainer_free(two);
}

static void test_rates(void **state)
{
    (void)state;
    mn__trainer *t = begin_with(MN__ARCH_PKM, (const char *const[3]){"train.value_times=4",
                                                                     "train.rate_first=0.5",
                                                                     "train.rate_last=0.1"});
    steps(t, 1); /* of 30, 3 of them rising from a half */
    assert_true(fabs(t->last.rate - 0.005) < 1e-9);
    assert_true(fabs(t->last.value_rate - 0.02) < 1e-9);
    steps(t, 3);
    assert_true(fabs(t->last.rate - 0.01) < 1e-9);
    steps(t, 26);
    assert_true(t->last.rate < 0.0015 && t->last.rate > 0.00099);
    mn__trainer_free(t);
}

/* ---- a whole run ---- */

typedef struct told {
    size_t n, n_valid, stop_after;
    mn__train_report last;
} told;

static void tell(void *ctx, const mn__train_report *r)
{
    told *to = ctx;
    to->n++;
    to->n_valid += !isnan(r->valid_loss);
    to->last = *r;
}

static bool is_enough(void *ctx)
{
    const told *to = ctx;
    return to->stop_after && source.n_fill >= to->stop_after;
}

static void test_run(void **state)
{
    told to = {0};
    const mn__train_hooks hooks = {.report = tell, .stop = is_enough, .ctx = &to};
    (void)state;
    mn__trainer *t = begin_with(MN__ARCH_DENSE,
                                (const char *const[3]){"report.every=4", "report.valid_every=10"});
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_OK);
    assert_int_equal(to.n, 7 + 3 - 1); /* 4..28; 10, 20, 30; 20 is both */
    assert_int_equal(to.n_valid, 3);
    assert_int_equal(to.last.step, 30);
    assert_int_equal(to.last.tokens, 30 * 48);
    assert_true(to.last.valid_loss > 0 && to.last.tokens_per_s > 0);
    assert_true(to.last.left_s <= 0);
    mn__trainer_free(t);

    t = begin_with(MN__ARCH_DENSE, (const char *const[3]){"report.every=4"});
    to = (told){.stop_after = 9 * 4};
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_ECANCEL);
    assert_says("stopped after step 9 of 30");
    assert_int_equal(t->opt->step, 9);
    mn__trainer_free(t);
}

/* ---- faults ---- */

static mn_status bad_token(mn__row_source *self, size_t step, size_t row, size_t length,
                           int32_t *out, mn_diag *why)
{
    (void)self, (void)why;
    for (size_t i = 0; i <= length; i++) out[i] = 0;
    if (step == 2 && row == 3) out[length] = 13;
    return MN_OK;
}

static void test_bad_token(void **state)
{
    (void)state;
    mn__trainer *t = begin_with(MN__ARCH_MOE, (const char *const[3]){NULL});
    source.source.fill = bad_token;
    steps(t, 2);
    assert_int_equal(mn__trainer_step(t, &diag), MN_EINPUT);
    assert_says("row 3 of step 3: a token below 13 wanted, 13 found");
    for (size_t i = 0; i < t->learner->n_w; i++) assert_true(t->learner->g[i] == 0);
    mn__trainer_free(t);
}

static void test_not_finite(void **state)
{
    (void)state;
    const mn__train_hooks hooks = {.checkpoint = "/nonexistent/never-written"};
    mn__trainer *t = begin_with(MN__ARCH_DENSE, (const char *const[3]){NULL});
    steps(t, 2);
    mn__param *p = mn__params_find(&t->learner->list, "block.1.ffn.down.weight");
    assert_non_null(p);
    p->w[5] = NAN;
    assert_int_equal(mn__trainer_run(t, &hooks, &diag), MN_EFAIL);
    assert_says("step 3: loss nan");
    assert_says("value of block.1.ffn.down.weight");
    assert_says("no checkpoint has been written yet");
    assert_int_equal(t->opt->step, 2);
    for (size_t i = 0; i < t->learner->n_w; i++) assert_true(t->learner->g[i] == 0);
    mn__trainer_free(t);

    /* values that are finite, and a gradient that is not */
    t = begin_with(MN__ARCH_DENSE, (const char *const[3]){"model.tied=no"});
    p = mn__params_find(&t->learner->list, "head");
    assert_non_null(p);
    for (size_t i = 0; i < mn__param_size(p); i++) p->w[i] = i % 2 ? 3e38f : -3e38f;
    assert_int_equal(mn__trainer_step(t, &diag), MN_EFAIL);
    assert_says("gradient of ");
    mn__trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),  cmocka_unit_test(test_selective_looks),
        cmocka_unit_test(test_passes),     cmocka_unit_test(test_rates),
        cmocka_unit_test(test_run),        cmocka_unit_test(test_bad_token),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
