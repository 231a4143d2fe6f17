/* test_unlike.c: minus the cosine with the mean direction, against its definition in double: for
 * every width of heads, kernels of every level, types of caches, rows of zeros, a NaN. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/heap.h"
#include "base/rng.h"
#include "cache/pool.h"
#include "policy/policy_kind.h"

enum { TOKENS = 150, MOST = 256, ZERO_ROW = 77, STRIDE = 3 };

static const int32_t no_window[1];

/* Channel c of a key (0) or value (1): a direction that all share, and a part of its own. */
static float channel(size_t what, size_t token, size_t c)
{
    if (token == ZERO_ROW) return 0;
    return (float)(mn__rng_normal(5, (uint32_t)what, c, 0) +
                   (1 + (double)(token % 7)) *
                       mn__rng_normal(6, (uint32_t)what, token, (uint32_t)c));
}

struct place {
    struct mn__kern kern;
    mn__rope rope;
    const mn__rope *ropes[1];
    double freq[MOST / 2];
    mn__cache_shape shape;
    mn__pool *pool;
    mn__cache *cache;
};

/* One lane of TOKENS rows; the key of token `nan` (or none, -1) has one channel that is no number.
 */
static void put_rows(struct place *p, mn__cpu_level level, mn__kv_type type, size_t d, int nan)
{
    mn_diag diag;
    memset(p, 0, sizeof *p);
    mn__kern_init(&p->kern, level);
    p->rope = (mn__rope){.n_rot = d, .neox = true, .magnitude = 1, .freq = p->freq};
    p->ropes[0] = &p->rope;
    p->shape = (mn__cache_shape){.n_layer = 1,
                                 .n_head = 1,
                                 .n_kv_head = 1,
                                 .head_dim = d,
                                 .window = no_window,
                                 .rope = p->ropes,
                                 .kv_type = type,
                                 .max_slots = TOKENS,
                                 .max_step = TOKENS};
    assert_int_equal(mn__pool_new(&p->pool, type, d, &diag), MN_OK);
    assert_int_equal(mn__cache_new(&p->cache, &p->shape, p->pool, &p->kern, &diag), MN_OK);
    assert_int_equal(mn__cache_reserve(p->cache, TOKENS, &diag), MN_OK);
    for (size_t t = 0; t < TOKENS; t++) {
        float k[MOST], v[MOST];
        for (size_t c = 0; c < d; c++) {
            k[c] = (int)t == nan && c == 1 ? NAN : channel(0, t, c);
            v[c] = channel(1, t, c);
        }
        mn__lane_put(p->cache, mn__cache_lane(p->cache, 0, 0), t, k, d, v, d, 1);
    }
    mn__cache_commit(p->cache);
}

static void leave(struct place *p)
{
    mn__cache_free(p->cache);
    mn__pool_free(p->pool);
}

static void found(struct place *p, bool values, float *out)
{
    float *scratch = mn__alloc(MN_MEM_OTHER, mn__unlike_floats(&p->shape) * sizeof *scratch);
    const mn__score_view view = {.cache = p->cache, .n = TOKENS};
    assert_non_null(scratch);
    mn__unlike(&view, values, scratch, out, STRIDE);
    mn__free(scratch);
}

/* Of the rows as the cache holds them. */
static void wanted(struct place *p, bool values, double *out)
{
    const size_t d = p->shape.head_dim;
    float *x = malloc(TOKENS * d * sizeof *x);
    double mean[MOST] = {0}, norm = 0, length[TOKENS] = {0};
    mn__lane_read(p->cache, mn__cache_lane(p->cache, 0, 0), 0, TOKENS, values ? NULL : x,
                  values ? x : NULL);
    for (size_t t = 0; t < TOKENS; t++) {
        for (size_t c = 0; c < d; c++) length[t] += (double)x[t * d + c] * (double)x[t * d + c];
        length[t] = sqrt(length[t]);
        for (size_t c = 0; c < d; c++)
            mean[c] += length[t] > 0 ? (double)x[t * d + c] / length[t] : 0;
    }
    for (size_t c = 0; c < d; c++) norm += mean[c] * mean[c];
    for (size_t t = 0; t < TOKENS; t++) {
        double dot = 0;
        for (size_t c = 0; c < d; c++) dot += (double)x[t * d + c] * mean[c];
        out[t] = length[t] > 0 ? -dot / length[t] / sqrt(norm) : 0;
    }
    free(x);
}

static void test_definition(void **state)
{
    (void)state;
    static const size_t widths[] = {8, 16, 24, 40, 64, 80, 128, 256};
    static const mn__kv_type types[] = {MN__KV_F32, MN__KV_BF16, MN__KV_Q8};
    const mn__cpu_level levels[] = {MN__CPU_REF, mn__cpu_best()};
    float out[TOKENS * STRIDE];
    double want[TOKENS];
    for (size_t i = 0; i < sizeof widths / sizeof *widths * 12; i++) {
        struct place p;
        const bool values = i % 2;
        put_rows(&p, levels[i / 2 % 2], types[i / 4 % 3], widths[i / 12], -1);
        wanted(&p, values, want);
        found(&p, values, out);
        double spread = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            assert_true(fabs((double)out[t * STRIDE] - want[t]) < 1e-5);
            spread += fabs(want[t] - want[0]);
        }
        assert_true(spread > 1 && want[ZERO_ROW] == 0);
        leave(&p);
    }
}

/* A key that is no number says nothing of the others: nobody stands out. Values are another matter.
 */
static void test_nan(void **state)
{
    (void)state;
    struct place p;
    float out[TOKENS * STRIDE];
    put_rows(&p, MN__CPU_REF, MN__KV_F32, 24, 9);
    found(&p, false, out);
    for (size_t t = 0; t < TOKENS; t++) assert_true(out[t * STRIDE] == 0);
    found(&p, true, out);
    assert_true(out[0] != 0);
    leave(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_definition),
                                       cmocka_unit_test(test_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
