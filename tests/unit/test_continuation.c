/* test_continuation.c: samples follow from weights, seed and step; training does not notice. */
#include "train/continuation.h"

#include "train_fixture.h"

static mn_diag diag;
static mn__config config;
static counting source;

static mn__trainer *begin(mn__arch_kind arch)
{
    mn__trainer *t;
    small_config(&config, arch);
    finish_config(&config);
    counting_init(&source, &config);
    if (mn__trainer_new(&t, &config, &source.source, &source.source, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    return t;
}

static void steps(mn__trainer *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mn__trainer_step(t, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static mn__continuation make(const mn__trainer *t, const int32_t *prompt, size_t n_prompt,
                             size_t n_new, double temperature)
{
    mn__continuation k;
    const mn__continuation_params p = {prompt, n_prompt, n_new, temperature};
    if (mn__continuation_init(&k, t, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return k;
}

/* Sampled between steps or not, warm or cold: the same weights, for every architecture. */
static void test_unnoticed(void **state)
{
    const int32_t prompt[] = {1, 2};
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        mn__trainer *plain = begin(arch), *sampled = begin(arch);
        mn__continuation k = make(sampled, prompt, 2, 5, 1);
        assert_int_equal(k.n, 7);
        for (size_t i = 0; i < 4; i++) {
            steps(plain, 1);
            steps(sampled, 1);
            mn__continuation_write(&k, sampled);
            for (size_t j = 0; j < k.n; j++) assert_in_range(k.token[j], 0, config.model_vocab - 1);
        }
        assert_true(plain->last.loss == sampled->last.loss);
        mn__adamw_flush(plain->opt, plain->team);
        mn__adamw_flush(sampled->opt, sampled->team);
        assert_memory_equal(plain->learner->w, sampled->learner->w,
                            plain->learner->n_w * sizeof(mn__real));
        mn__continuation_fini(&k);
        mn__trainer_free(plain);
        mn__trainer_free(sampled);
    }
}

/* A model that has learnt to count counts on. */
static void test_greedy(void **state)
{
    const int32_t prompt[] = {3, 4, 5, 6};
    (void)state;
    mn__trainer *t = begin(MN__ARCH_DENSE);
    steps(t, 30);
    mn__continuation k = make(t, prompt, 4, 6, 0);
    mn__continuation_write(&k, t);
    size_t n_right = 0;
    for (size_t i = 4; i < k.n; i++) n_right += k.token[i] == (k.token[i - 1] + 1) % 13;
    assert_true(n_right >= 5);
    mn__continuation_fini(&k);

    /* drawn: the same twice, and at a high temperature not the likeliest */
    mn__continuation a = make(t, prompt, 4, 8, 50), b = make(t, prompt, 4, 8, 50);
    mn__continuation_write(&a, t);
    mn__continuation_write(&b, t);
    assert_memory_equal(a.token, b.token, a.n * sizeof *a.token);
    size_t n_off = 0;
    for (size_t i = 4; i < a.n; i++) n_off += a.token[i] != (a.token[i - 1] + 1) % 13;
    assert_true(n_off >= 3);
    steps(t, 1);
    mn__continuation_write(&b, t);
    assert_memory_not_equal(a.token, b.token, a.n * sizeof *a.token);
    mn__continuation_fini(&a);
    mn__continuation_fini(&b);
    mn__trainer_free(t);
}

/* No longer than sequences of training: the prompt's end stays. */
static void test_long(void **state)
{
    int32_t prompt[20];
    (void)state;
    for (int32_t i = 0; i < 20; i++) prompt[i] = i % 13;
    mn__trainer *t = begin(MN__ARCH_DENSE);
    mn__continuation k = make(t, prompt, 20, 100, 0);
    assert_int_equal(k.n, 12);
    assert_int_equal(k.n_prompt, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(k.token[i], prompt[14 + i]);
    mn__continuation_write(&k, t);
    mn__continuation_fini(&k);
    mn__trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unnoticed),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
