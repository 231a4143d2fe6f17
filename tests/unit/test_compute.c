/* test_compute.c: trainings whose products read bf16: beside the same in float, at any number of
 * threads, and what `auto` becomes. */
#include "train_fixture.h"

#include <math.h>

#include "base/cpu.h"

static mn_diag diag;
static counting source;
typedef struct network {
    mn__arch_kind arch;
    const char *mix;
} network;
static const network networks[] = {
    {MN__ARCH_DENSE, "model.mixer=softmax"},
    {MN__ARCH_MOE, "model.mixer=softmax"},
    {MN__ARCH_DENSE, "model.mixer=performer"},
    {MN__ARCH_DENSE, "model.mixer=cosformer"},
};

/* Large enough that all products but the router's, and some of linear attention, are in bf16. */
static mn__trainer *begin(const network *net, const char *compute, const char *threads)
{
    static const char *const options[] = {"model.vocab=96",  "model.width=64",  "model.heads=2",
                                          "model.hidden=96", "model.blocks=1",  "model.std=0.05",
                                          "train.batch=4",   "train.length=64", "train.passes=1",
                                          "train.steps=50",  "train.rate=3e-3", "experts.inner=96"};
    mn__config c;
    mn__trainer *t;
    small_config(&c, net->arch);
    set_option(&c, net->mix);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) set_option(&c, options[i]);
    set_option(&c, compute);
    set_option(&c, threads);
    finish_config(&c);
    counting_init(&source, &c);
    if (mn__trainer_new(&t, &c, &source.source, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
    return t;
}

static double train(mn__trainer *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mn__trainer_step(t, &diag) != MN_OK) fail_msg("%s", diag.text);
    return t->last.loss;
}

/* Fifty steps, in which the loss falls by more than a tenth: within one hundredth of float's. */
static void test_near_float(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        mn__trainer *full = begin(&networks[i], "train.compute=f32", "train.threads=2"),
                    *half = begin(&networks[i], "train.compute=bf16", "train.threads=2");
        const double first = train(full, 1), first_half = train(half, 1), last = train(full, 49),
                     last_half = train(half, 49);
        assert_true(last < 0.9 * first);
        assert_true(first != first_half); /* or nothing was rounded */
        assert_true(fabs(first_half - first) < 1e-3 * first);
        assert_true(fabs(last_half - last) < 1e-2 * first);
        mn__trainer_free(full);
        mn__trainer_free(half);
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        mn__trainer *t[2] = {begin(&networks[i], "train.compute=bf16", "train.threads=1"),
                             begin(&networks[i], "train.compute=bf16", "train.threads=3")};
        assert_true(train(t[0], 10) == train(t[1], 10));
        assert_true(t[0]->last.norm == t[1]->last.norm);
        assert_memory_equal(t[0]->learner->w, t[1]->learner->w, t[0]->learner->n_w * sizeof(float));
        for (int k = 0; k < 2; k++) mn__trainer_free(t[k]);
    }
}

static void test_auto(void **state)
{
    mn__config c;
    (void)state;
    small_config(&c, MN__ARCH_DENSE);
    assert_int_equal(c.train_compute, MN__COMPUTE_AUTO);
    finish_config(&c);
    assert_int_equal(c.train_compute, mn__compute_of(mn__cpu_best()));
    assert_int_equal(mn__compute_of(MN__CPU_REF), MN__COMPUTE_F32);
    assert_int_equal(mn__compute_of(MN__CPU_AVX512), MN__COMPUTE_F32);
    assert_int_equal(mn__compute_of(MN__CPU_AVX512BF16), MN__COMPUTE_BF16);
    assert_int_equal(mn__compute_of(MN__CPU_AMX), MN__COMPUTE_BF16);
    set_option(&c, "train.compute=f32");
    finish_config(&c);
    assert_int_equal(c.train_compute, MN__COMPUTE_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_float),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_auto),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
