/* test_query_ring.c: the attention of the last queries against softmax in double, and what the ring
 * still knows after long steps, failed ones and rewinds. */
#include "cache/cache_state.h"
#include "cache_fixture.h"

static const mn__kv_type types[] = {MN__KV_BF16, MN__KV_F32, MN__KV_Q8};
static const double tolerance[] = {0.02, 1e-6, 0.04};
enum { LAYER = 2, LD = 1024 };

/* Row of a token over the lane as it stands, from the stored keys. */
static void naive(const mn__cache *c, size_t h, int64_t token, float scale, double *p)
{
    struct image m = fix_image(c, LAYER, h / 2);
    float q[FIX_DIM];
    double sum = 0;
    fix_row(2, LAYER, h, token, q);
    for (size_t i = 0; i < m.n; i++) {
        double dot = 0;
        for (size_t k = 0; k < FIX_DIM; k++) dot += (double)q[k] * m.k[i * FIX_DIM + k];
        p[i] = m.token[i] <= token ? exp(dot * scale) : 0;
        sum += p[i];
    }
    for (size_t i = 0; i < m.n && sum > 0; i++) p[i] /= sum;
    fix_image_free(&m);
}

static void assert_window(const mn__cache *c, size_t n_row, size_t n_expected, double within)
{
    float *p = malloc(n_row * LD * sizeof *p);
    double want[LD];
    size_t n = mn__cache_lane(c, LAYER, 0)->n;
    for (size_t h = 0; h < FIX_HEADS; h++) {
        assert_int_equal(mn__cache_window_probs(c, LAYER, h, n_row, 0.35f, p, LD), n_expected);
        n = mn__cache_lane(c, LAYER, h / 2)->n;
        for (size_t r = 0; r < n_expected; r++) {
            naive(c, h, c->n_seen - (int64_t)(n_expected - r), 0.35f, want);
            for (size_t i = 0; i < n; i++) assert_true(fabs(p[r * LD + i] - want[i]) <= within);
        }
    }
    free(p);
}

static void test_rows_match(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        fix_init(&f, types[t], false);
        fix_feed(f.cache, 5);
        assert_window(f.cache, 32, 5, tolerance[t]); /* fewer were seen */
        fix_feed(f.cache, 400);
        assert_window(f.cache, 1, 1, tolerance[t]);
        assert_window(f.cache, 33, 33, tolerance[t]);
        assert_window(f.cache, 100, 40, tolerance[t]); /* the ring is 40 long */
        for (size_t i = 0; i < 27; i++) fix_feed(f.cache, 1);
        assert_window(f.cache, 40, 40, tolerance[t]);
        fix_fini(&f);
    }
}

/* A lane that lost tokens, some of the window among them. */
static void test_evicted_lane(void **state)
{
    (void)state;
    uint32_t keep[700];
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        fix_init(&f, types[t], false);
        fix_feed(f.cache, 500);
        fix_feed(f.cache, 200);
        for (uint32_t head = 0; head < FIX_KV_HEADS; head++) {
            size_t n = fix_subset(keep, 700, head ? 0.7 : 0.2, head);
            assert_int_equal(mn__lane_keep(f.cache, LAYER, head, keep, n), MN_OK);
        }
        assert_window(f.cache, 32, 32, tolerance[t]);
        /* Rows before every survivor are zero. */
        for (uint32_t i = 0; i < 3; i++)
            keep[i] = (uint32_t)mn__cache_lane(f.cache, LAYER, 0)->n - 3 + i;
        assert_int_equal(mn__lane_keep(f.cache, LAYER, 0, keep, 3), MN_OK);
        assert_window(f.cache, 40, 40, tolerance[t]);
        fix_fini(&f);
    }
}

static void test_ring_after_rollback_and_rewind(void **state)
{
    (void)state;
    struct fixture f;
    fix_init(&f, MN__KV_F32, false);
    fix_feed(f.cache, 100);
    assert_int_equal(mn__cache_reserve(f.cache, 10, NULL), MN_OK);
    fix_write(f.cache, 10);
    mn__cache_rollback(f.cache);
    assert_window(f.cache, 40, 30, 1e-6); /* ten rows were written over */
    fix_feed(f.cache, 4);
    assert_window(f.cache, 40, 34, 1e-6);
    assert_int_equal(mn__cache_rewind(f.cache, 14), MN_OK);
    assert_window(f.cache, 40, 20, 1e-6);
    fix_feed(f.cache, 300);
    assert_window(f.cache, 40, 40, 1e-6);
    assert_int_equal(mn__cache_rewind(f.cache, 60), MN_OK); /* more than the ring holds */
    assert_window(f.cache, 40, 0, 1e-6);
    fix_feed(f.cache, 5);
    assert_window(f.cache, 40, 5, 1e-6);
    fix_feed(f.cache, 50);
    mn__cache *child;
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    fix_feed(f.cache, 40);
    assert_window(child, 40, 40, 1e-6);
    mn__cache_free(child);
    mn__cache_clear(f.cache);
    assert_window(f.cache, 40, 0, 0);
    fix_fini(&f);
}

/* Closed, it holds no bytes and remembers nothing; opened, what comes from then on. */
static void test_closed_ring(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache_bytes bytes;
    mn__cache *child;
    fix_init(&f, MN__KV_F32, false);
    fix_feed(f.cache, 100);
    mn__cache_get_bytes(f.cache, &bytes);
    const size_t open = bytes.policy, held = mn__cache_state_bytes(f.cache);
    mn__cache_close_ring(f.cache);
    mn__cache_get_bytes(f.cache, &bytes);
    const size_t closed = bytes.policy;
    size_t ring, rows;
    assert_true(mn__query_bytes(&f.cache->shape, 40, &rows));
    ring = (rows + 4095) / 4096 * 4096;
    assert_int_equal(open - closed, ring);
    assert_int_equal(held - mn__cache_state_bytes(f.cache), rows);
    assert_window(f.cache, 40, 0, 0);
    fix_feed(f.cache, 50);
    fix_feed(f.cache, 1);
    assert_window(f.cache, 40, 0, 0);
    assert_int_equal(mn__cache_rewind(f.cache, 3), MN_OK);
    assert_window(f.cache, 40, 0, 0);
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    mn__cache_get_bytes(child, &bytes);
    assert_int_equal(bytes.policy, closed);
    mn__cache_free(child);
    assert_int_equal(mn__cache_open_ring(f.cache, NULL), MN_OK);
    assert_window(f.cache, 40, 0, 0);
    fix_feed(f.cache, 7);
    assert_window(f.cache, 40, 7, 1e-6);
    assert_int_equal(mn__cache_open_ring(f.cache, NULL), MN_OK); /* nothing to do */
    assert_window(f.cache, 40, 7, 1e-6);
    fix_feed(f.cache, 60);
    assert_window(f.cache, 40, 40, 1e-6);
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_match),
        cmocka_unit_test(test_evicted_lane),
        cmocka_unit_test(test_ring_after_rollback_and_rewind),
        cmocka_unit_test(test_closed_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
