/* test_sampler.c: each link of the chain by what it must and must not choose, then grammar, state
 * and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "gguf.h"
#include "infer/sampler.h"
#include "mneme/mem.h"
#include "abc_vocab.h"

static mn__vocab *vocab;
static mn_diag diag;

static int setup(void **state)
{
    struct gguf_context *meta = abc_vocab_meta();
    (void)state;
    if (mn__vocab_open(&vocab, meta, &diag) != MN_OK) return -1;
    gguf_free(meta);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mn__vocab_close(vocab);
    return 0;
}

/* Plain drawing at temperature 1: every other link off. */
static mn_sampler_params plain(void)
{
    mn_sampler_params p;
    mn_sampler_params_default(&p);
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    return p;
}

static mn__sampler *make(const mn_sampler_params *p)
{
    mn__sampler *s = NULL;
    if (mn__sampler_new(&s, p, vocab, &diag) != MN_OK) fail_msg("%s", diag.text);
    return s;
}

static int32_t pick(mn__sampler *s, const float *logits)
{
    int32_t token = -7;
    if (mn__sampler_pick(s, logits, ABC_N, &token, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_in_range(token, 0, ABC_N - 1);
    return token;
}

static int32_t pick_accept(mn__sampler *s, const float *logits)
{
    const int32_t token = pick(s, logits);
    assert_int_equal(mn__sampler_accept(s, token, &diag), MN_OK);
    return token;
}

/* All at -20 but a few. */
static void fill(float *logits, int n, const int32_t *tokens, const float *values)
{
    for (int i = 0; i < ABC_N; i++) logits[i] = -20;
    for (int i = 0; i < n; i++) logits[tokens[i]] = values[i];
}

static const int32_t abcd[] = {ABC_A, ABC_B, ABC_C, ABC_D};

static void test_greedy(void **state)
{
    mn_sampler_params p;
    float logits[ABC_N];
    mn__sampler *s;
    (void)state;
    mn_sampler_params_default(&p);
    p.temperature = 0;
    s = make(&p);
    fill(logits, 4, abcd, (const float[]){1.0f, 1.5f, 1.4f, -3});
    for (int i = 0; i < 20; i++) assert_int_equal(pick_accept(s, logits), ABC_B);
    mn__sampler_free(s);
}

/* Greedy alone takes a short way, with a penalty that never bites the long one: they must agree,
 * broken logits and ties too. */
static void test_greedy_both_ways(void **state)
{
    mn_sampler_params p;
    float logits[ABC_N];
    mn__sampler *brief, *full;
    (void)state;
    mn_sampler_params_default(&p);
    p.temperature = 0;
    brief = make(&p);
    p.repeat_penalty = 2;
    full = make(&p); /* nothing is accepted, so nothing is penalised */
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < ABC_N; i++) logits[i] = (float)((i * 31 + round * 17) % 97);
        logits[round % ABC_N] = NAN;
        logits[(round * 7) % ABC_N] = INFINITY;
        assert_int_equal(pick(brief, logits), pick(full, logits));
    }
    for (int i = 0; i < ABC_N; i++) logits[i] = i % 2 == 0 ? NAN : -INFINITY;
    assert_int_equal(mn__sampler_pick(brief, logits, ABC_N, &(int32_t){0}, &diag), MN_EFAIL);
    mn__sampler_free(brief);
    mn__sampler_free(full);
}

/* Chi-square over 4 classes against the softmax; 21.1 is passed by chance once in 10,000 seeds, and
 * this seed is fixed. */
static void test_draws_follow_the_softmax(void **state)
{
    enum { N = 20000 };
    mn_sampler_params p = plain();
    const float values[] = {0, 0.5f, 1, -1};
    float logits[ABC_N];
    double sum = 0, chi = 0;
    int count[4] = {0};
    mn__sampler *s;
    (void)state;
    p.temperature = 0.7f;
    s = make(&p);
    fill(logits, 4, abcd, values);
    for (int i = 0; i < N; i++) {
        const int32_t t = pick(s, logits);
        for (int k = 0; k < 4; k++) count[k] += t == abcd[k];
    }
    for (int k = 0; k < 4; k++) sum += exp(values[k] / 0.7);
    for (int k = 0; k < 4; k++) {
        const double want = N * exp(values[k] / 0.7) / sum;
        assert_true(want > 100);
        chi += (count[k] - want) * (count[k] - want) / want;
    }
    if (chi > 21.1) fail_msg("chi-square %g", chi);
    mn__sampler_free(s);
}

/* Which of a b c d come up in 2000 draws, as bits. */
static unsigned seen(const mn_sampler_params *p, const float *values)
{
    float logits[ABC_N];
    unsigned bits = 0;
    mn__sampler *s = make(p);
    fill(logits, 4, abcd, values);
    for (int i = 0; i < 2000; i++) {
        const int32_t t = pick(s, logits);
        for (int k = 0; k < 4; k++)
            if (t == abcd[k]) bits |= 1u << k;
    }
    mn__sampler_free(s);
    return bits;
}

static void test_cuts(void **state)
{
    const float values[] = {2, 1.5f, 1, 0.5f}; /* shares 0.455 0.276 0.167 0.102 */
    mn_sampler_params p = plain();
    (void)state;
    assert_int_equal(seen(&p, values), 15);
    p.top_k = 2;
    assert_int_equal(seen(&p, values), 3);
    p.top_k = 0;
    p.top_p = 0.8f; /* 0.455 + 0.276 < 0.8 <= + 0.167 */
    assert_int_equal(seen(&p, values), 7);
    p.top_p = 1;
    p.min_p = 0.5f; /* of the best: exp(-0.5) = 0.607 stays, exp(-1) = 0.368 goes */
    assert_int_equal(seen(&p, values), 3);
}

static void test_penalty_comes_before_the_cuts(void **state)
{
    mn_sampler_params p = plain();
    float logits[ABC_N];
    mn__sampler *s;
    const int32_t prompt[] = {ABC_A};
    (void)state;
    p.top_k = 1;
    p.repeat_penalty = 2;
    s = make(&p);
    fill(logits, 4, abcd, (const float[]){2, 1.5f, 0.9f, 0.5f});
    assert_int_equal(pick(s, logits), ABC_A);
    assert_int_equal(mn__sampler_prime(s, prompt, 1, &diag), MN_OK);
    assert_int_equal(pick_accept(s, logits), ABC_B); /* 2 / 2 < 1.5 */
    assert_int_equal(pick_accept(s, logits), ABC_A); /* 1, 0.75, 0.9 */
    mn__sampler_free(s);
}

static void test_dry_stops_a_phrase(void **state)
{
    mn_sampler_params p = plain();
    float logits[ABC_N];
    mn__sampler *s;
    const int32_t prompt[] = {ABC_A, ABC_B, ABC_C, ABC_D, ABC_A, ABC_B, ABC_C};
    (void)state;
    p.temperature = 0;
    p.dry_multiplier = 5;
    s = make(&p);
    fill(logits, 4, abcd, (const float[]){0, 1, 1.5f, 2});
    assert_int_equal(pick(s, logits), ABC_D);
    assert_int_equal(mn__sampler_prime(s, prompt, 7, &diag), MN_OK);
    assert_int_equal(pick(s, logits), ABC_C); /* d would repeat a b c d */
    mn__sampler_free(s);
    p.dry_breakers = (const char *const[]){"c"}; /* now the phrase begins anew after c */
    p.n_dry_breaker = 1;
    s = make(&p);
    assert_int_equal(mn__sampler_prime(s, prompt, 7, &diag), MN_OK);
    assert_int_equal(pick(s, logits), ABC_D);
    mn__sampler_free(s);
}

static void test_broken_logits(void **state)
{
    mn_sampler_params p = plain();
    float logits[ABC_N];
    int32_t token = -7;
    mn__sampler *s = make(&p);
    (void)state;
    fill(logits, 4, abcd, (const float[]){NAN, INFINITY, 3, -INFINITY});
    logits[ABC_UNK] = -NAN;
    for (int i = 0; i < 50; i++) assert_int_equal(pick(s, logits), ABC_C);
    logits[ABC_C] = 3e38f;
    logits[ABC_A] = -3e38f;
    assert_int_equal(pick(s, logits), ABC_C);
    for (int i = 0; i < ABC_N; i++) logits[i] = NAN;
    assert_int_equal(mn__sampler_pick(s, logits, ABC_N, &token, &diag), MN_EFAIL);
    assert_non_null(strstr(diag.text, "of 281 logits 281 are NaN"));
    assert_int_equal(token, -7);
    for (int i = 0; i < ABC_N; i++) logits[i] = 1; /* equal: any, but a token */
    pick(s, logits);
    assert_int_equal(mn__sampler_pick(s, logits, ABC_N - 1, &token, &diag), MN_ERANGE);
    mn__sampler_free(s);
}

static void draw(mn__sampler *s, int32_t *tokens, int n)
{
    float logits[ABC_N];
    for (int i = 0; i < ABC_N; i++) logits[i] = (float)(i % 7) * 0.1f;
    for (int i = 0; i < n; i++) tokens[i] = pick_accept(s, logits);
}

static void test_seeds(void **state)
{
    static const uint64_t seeds[] = {0, 1, 0xFFFFFFFF, 0x100000000, 12345678901};
    int32_t first[5][32], again[32];
    mn_sampler_params p = plain();
    (void)state;
    for (int i = 0; i < 5; i++) {
        mn__sampler *s;
        p.seed = seeds[i];
        s = make(&p);
        draw(s, first[i], 32);
        mn__sampler_free(s);
        s = make(&p); /* 0xFFFFFFFF means "any seed" to libllama */
        draw(s, again, 32);
        assert_memory_equal(first[i], again, sizeof again);
        mn__sampler_free(s);
    }
    assert_memory_not_equal(first[0], first[1], sizeof again);
    assert_memory_not_equal(first[0], first[2], sizeof again);
}

static void test_grammar(void **state)
{
    static const int32_t wants[] = {ABC_D, ABC_B, ABC_EOS};
    mn_sampler_params p = plain();
    float logits[ABC_N];
    int32_t token = -7;
    mn__sampler *s;
    (void)state;
    p.temperature = 0;
    p.grammar = "root ::= \"d\" (\"b\" | \"e\")";
    s = make(&p);
    fill(logits, 4, abcd,
         (const float[]){5, 2, 4, 1}); /* a, then c are likelier than what is allowed */
    logits[ABC_EOS] = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mn__sampler_accept(s, ABC_A, &diag),
                         MN_EINPUT); /* refused, and nothing changes */
        assert_int_equal(pick_accept(s, logits), wants[i]);
    }
    assert_int_equal(pick(s, logits), ABC_EOS); /* the answer is over, until a new one begins */
    mn__sampler_next_answer(s);
    for (int i = 0; i < 3; i++) assert_int_equal(pick_accept(s, logits), wants[i]);
    mn__sampler_next_answer(s);
    for (int i = 0; i < ABC_N; i++) logits[i] = i == ABC_A ? 1 : -INFINITY;
    assert_int_equal(mn__sampler_pick(s, logits, ABC_N, &token, &diag), MN_EFAIL);
    assert_non_null(strstr(diag.text, "grammar"));
    mn__sampler_free(s);
}

static void test_grammar_ignores_the_prompt(void **state)
{
    const int32_t prompt[] = {ABC_C, ABC_C, ABC_IM_END};
    mn_sampler_params p = plain();
    float logits[ABC_N] = {0};
    mn__sampler *s;
    (void)state;
    p.grammar = "root ::= \"d\"";
    s = make(&p);
    assert_int_equal(mn__sampler_prime(s, prompt, 3, &diag), MN_OK);
    assert_int_equal(pick_accept(s, logits), ABC_D);
    mn__sampler_free(s);
}

/* More of them in test_grammar.c. */
static void test_bad_grammars(void **state)
{
    static const char *const bad[] = {"root ::= undefined", "other ::= \"a\"",
                                      "root ::= root \"a\"", "root ::= \"a"};
    static char big[70000];
    mn_sampler_params p = plain();
    mn__sampler *s = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p.grammar = bad[i];
        assert_int_equal(mn__sampler_new(&s, &p, vocab, &diag), MN_EINPUT);
        assert_non_null(strstr(diag.text, "grammar"));
        assert_null(s);
    }
    memset(big, ' ', sizeof big - 1);
    p.grammar = big;
    assert_int_equal(mn__sampler_new(&s, &p, vocab, &diag), MN_EUSAGE);
    assert_int_equal(mn_sampler_params_check(&p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "grammar"));
}

static void test_ranges(void **state)
{
    mn_sampler_params base, p;
    (void)state;
    mn_sampler_params_default(&base);
    assert_int_equal(mn_sampler_params_check(&base, &diag), MN_OK);
#define REFUSED(field, value)                                            \
    do {                                                                 \
        p = base;                                                        \
        p.field = (value);                                               \
        assert_int_equal(mn_sampler_params_check(&p, &diag), MN_EUSAGE); \
        assert_non_null(strstr(diag.text, #field));                      \
    } while (0)
    REFUSED(temperature, -0.1f);
    REFUSED(temperature, NAN);
    REFUSED(temperature, INFINITY);
    REFUSED(top_k, -1);
    REFUSED(top_p, 1.01f);
    REFUSED(top_p, -0.01f);
    REFUSED(min_p, 2);
    REFUSED(repeat_penalty, 0);
    REFUSED(repeat_last_n, -1);
    REFUSED(repeat_last_n, INT32_MAX);
    REFUSED(dry_multiplier, -1);
    REFUSED(dry_base, 0.5f);
    REFUSED(dry_allowed_length, -1);
    REFUSED(dry_last_n, INT32_MAX);
    REFUSED(dry_last_n, -1);
    p = base;
    p.dry_breakers = (const char *const[]){"\n", ""};
    p.n_dry_breaker = 2;
    assert_int_equal(mn_sampler_params_check(&p, &diag), MN_EUSAGE);
    p.n_dry_breaker = 1000;
    assert_int_equal(mn_sampler_params_check(&p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "n_dry_breaker"));
}

static void test_tokens_outside(void **state)
{
    mn_sampler_params p = plain();
    const int32_t prompt[] = {ABC_A, ABC_N};
    mn__sampler *s = make(&p);
    (void)state;
    assert_int_equal(mn__sampler_accept(s, -1, &diag), MN_ERANGE);
    assert_int_equal(mn__sampler_accept(s, ABC_N, &diag), MN_ERANGE);
    assert_int_equal(mn__sampler_prime(s, prompt, 2, &diag), MN_ERANGE);
    mn__sampler_free(s);
}

static void test_memory_is_given_back(void **state)
{
    mn_mem_stats before, during, after;
    mn_sampler_params p = plain();
    int32_t tokens[8];
    mn__sampler *s;
    (void)state;
    mn_mem_get_stats(&before);
    s = make(&p);
    mn_mem_get_stats(&during);
    assert_true(during.total_now > before.total_now);
    draw(s, tokens, 8);
    mn_mem_get_stats(&after);
    assert_int_equal(after.total_now, during.total_now);
    mn__sampler_free(s);
    mn_mem_get_stats(&after);
    assert_int_equal(after.total_now, before.total_now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_greedy_both_ways),
        cmocka_unit_test(test_draws_follow_the_softmax),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_penalty_comes_before_the_cuts),
        cmocka_unit_test(test_dry_stops_a_phrase),
        cmocka_unit_test(test_broken_logits),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_grammar_ignores_the_prompt),
        cmocka_unit_test(test_bad_grammars),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_tokens_outside),
        cmocka_unit_test(test_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
