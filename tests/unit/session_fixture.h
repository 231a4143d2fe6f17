/* session_fixture.h: tiny models and their sessions, for the tests of src/infer. */
#ifndef SESSION_FIXTURE_H
#define SESSION_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "mneme/mem.h"
#include "mneme/session.h"
#include "tiny_model.h"

enum { FIX_TOKENS = 1024 };

/* The same text for all: tokens of every tiny vocabulary, none of them special. */
static inline const int32_t *fix_text(void)
{
    static int32_t token[FIX_TOKENS];
    for (size_t i = 0; i < FIX_TOKENS && !token[0]; i++)
        for (size_t k = FIX_TOKENS; k-- > 0;)
            token[k] = 3 + (int32_t)(mn__rng_uniform(5, 1, k, 0) * 60);
    return token;
}

static inline mn_model *fix_open(const tiny_model_params *tp)
{
    mn_model *m = NULL;
    mn_diag diag = {""};
    mn_model_params mp;
    const char *path = tiny_model_path("session.gguf");
    assert_true(tiny_model_write(path, tp));
    mn_model_params_default(&mp);
    mp.cpu = getenv("MN_TEST_CPU");
    mn_status st = mn_model_open(&m, path, &mp, &diag);
    remove(path);
    if (st != MN_OK) fail_msg("%s", diag.text);
    return m;
}

static inline mn_model *fix_model(const char *arch)
{
    tiny_model_params tp;
    tiny_model_default(&tp, arch);
    tp.n_ctx = FIX_TOKENS;
    return fix_open(&tp);
}

static inline mn_session_params fix_params(const char *policy, const char *budget)
{
    mn_session_params p;
    mn_session_params_default(&p);
    p.policy = policy;
    p.budget = budget;
    p.chunk = 64;
    p.n_thread = 1;
    return p;
}

static inline mn_session *fix_session(const mn_model *m, const mn_session_params *p)
{
    mn_session *s = NULL;
    mn_diag diag = {""};
    if (mn_session_new(&s, m, p, &diag) != MN_OK) fail_msg("%s: %s", p->policy, diag.text);
    return s;
}

/* Tokens [i, i + n) of the text; the logits of the last. */
static inline const float *fix_read(mn_session *s, size_t i, size_t n, bool end)
{
    const float *logits = NULL;
    mn_diag diag = {""};
    assert_true(i + n <= FIX_TOKENS);
    if (mn_session_read(s, fix_text() + i, n, end, &logits, NULL, NULL, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    return logits;
}

/* Generated tokens [i, i + n) of the text, one by one; the logits of the last. */
static inline const float *fix_write(mn_session *s, size_t i, size_t n)
{
    const float *logits = NULL;
    mn_diag diag = {""};
    assert_true(i + n <= FIX_TOKENS);
    for (size_t k = i; k < i + n; k++)
        if (mn_session_step(s, fix_text()[k], &logits, &diag) != MN_OK) fail_msg("%s", diag.text);
    return logits;
}

static inline size_t fix_vocab(const mn_model *m)
{
    mn_model_info info;
    mn_model_get_info(m, &info);
    return info.n_vocab;
}

/* A copy of logits, to be freed. They must look like logits: finite and not all alike. */
static inline float *fix_keep(const mn_model *m, const float *logits)
{
    size_t n = fix_vocab(m);
    float *copy = malloc(n * sizeof *copy), lo = logits[0], hi = logits[0];
    assert_non_null(copy);
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(logits[i]));
        lo = fminf(lo, logits[i]);
        hi = fmaxf(hi, logits[i]);
        copy[i] = logits[i];
    }
    assert_true(hi - lo > 0.5f);
    return copy;
}

/* Largest difference in units of the logits' own spread. */
static inline float fix_distance(const mn_model *m, const float *a, const float *b)
{
    size_t n = fix_vocab(m);
    float most = 0, sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(a[i] - b[i]));
        sum += a[i];
        square += a[i] * a[i];
    }
    float mean = sum / (float)n;
    return most / sqrtf(square / (float)n - mean * mean);
}

/* Bits of two rows of logits; `what` names the case. */
static inline void fix_same(const mn_model *m, const float *a, const float *b, const char *what)
{
    if (memcmp(a, b, fix_vocab(m) * sizeof *a) != 0)
        fail_msg("%s: logits differ by %g of their spread", what, (double)fix_distance(m, a, b));
}

static inline size_t fix_total(void)
{
    mn_mem_stats now;
    mn_mem_get_stats(&now);
    return now.total_now;
}

#endif
