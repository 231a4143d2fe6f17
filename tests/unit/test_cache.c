/* test_cache.c: steps, forks, windows, rewinds and the bytes they hold. */
#include "cache_fixture.h"

static const mn__kv_type types[] = {MN__KV_BF16, MN__KV_F32, MN__KV_Q8};

static size_t pages_of(size_t n)
{
    return (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS;
}

/* Pages that all lanes hold, in bytes. */
static size_t lane_page_bytes(const mn__cache *c)
{
    size_t n = 0;
    for (size_t i = 0; i < FIX_LAYERS * FIX_KV_HEADS; i++) {
        assert_int_equal(c->lane[i].n_page, pages_of(c->lane[i].n + c->n_reserved));
        n += c->lane[i].n_page;
    }
    return n * mn__pool_page_bytes(c->shape.kv_type, FIX_DIM);
}

/* What a stored row may differ from the row that was put. */
static float rounding(mn__kv_type type, const float *row)
{
    float top = 0;
    for (size_t c = 0; c < FIX_DIM; c++) top = fmaxf(top, fabsf(row[c]));
    return type == MN__KV_F32 ? 0 : type == MN__KV_BF16 ? top / 256 : top / 254 * 1.001f;
}

static void assert_rows(const mn__cache *c, size_t layer, size_t head)
{
    struct image m = fix_image(c, layer, head);
    float row[FIX_DIM];
    for (size_t i = 0; i < m.n; i++)
        for (size_t what = 0; what < 2; what++) {
            const float *x = (what ? m.v : m.k) + i * FIX_DIM;
            fix_row(what, layer, head, m.token[i], row);
            for (size_t k = 0; k < FIX_DIM; k++)
                assert_true(fabsf(x[k] - row[k]) <= rounding(c->shape.kv_type, row));
        }
    fix_image_free(&m);
}

/* Steps of many lengths, so that runs begin and end everywhere in a page. */
static void test_rows_come_back(void **state)
{
    (void)state;
    static const size_t step[] = {1, 7, 100, 64, 1, 300, 13};
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        fix_init(&f, types[t], false);
        for (size_t i = 0; i < sizeof step / sizeof *step; i++) fix_feed(f.cache, step[i]);
        assert_int_equal(f.cache->n_seen, 486);
        assert_int_equal(mn__cache_lane(f.cache, 0, 1)->n, 486);
        for (size_t layer = 0; layer < FIX_LAYERS; layer++)
            for (size_t head = 0; head < FIX_KV_HEADS; head++) assert_rows(f.cache, layer, head);
        assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(f.cache));
        fix_fini(&f);
    }
}

/* Two threads' halves of one step land where one put lands. */
static void test_put_in_runs(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        float k[90 * FIX_DIM], v[90 * FIX_DIM];
        fix_init(&f, types[t], false);
        fix_feed(f.cache, 16);
        for (size_t i = 0; i < 90; i++) {
            fix_row(0, 0, 0, 16 + (int64_t)i, k + i * FIX_DIM);
            fix_row(1, 0, 0, 16 + (int64_t)i, v + i * FIX_DIM);
        }
        mn__lane *l = mn__cache_lane(f.cache, 0, 0);
        assert_int_equal(mn__cache_reserve(f.cache, 90, NULL), MN_OK);
        mn__lane_put(f.cache, l, 32, k + 32 * FIX_DIM, FIX_DIM, v + 32 * FIX_DIM, FIX_DIM, 58);
        mn__lane_put(f.cache, l, 0, k, FIX_DIM, v, FIX_DIM, 32);
        mn__cache_commit(f.cache);
        assert_rows(f.cache, 0, 0);
        assert_int_equal(l->n, 106);
        fix_fini(&f);
    }
}

static void test_reserve_rollback_and_ranges(void **state)
{
    (void)state;
    struct fixture f;
    mn_diag diag = {""};
    fix_init(&f, MN__KV_BF16, false);
    fix_feed(f.cache, 70);
    size_t kv = fix_counted(MN_MEM_KV), policy = fix_counted(MN_MEM_POLICY);
    assert_int_equal(mn__cache_reserve(f.cache, 512, &diag), MN_OK);
    assert_true(fix_counted(MN_MEM_KV) > kv);
    assert_int_equal(mn__lane_pos(mn__cache_lane(f.cache, 2, 1))[70 + 511], 581);
    mn__cache_rollback(f.cache);
    assert_int_equal(fix_counted(MN_MEM_KV), kv);
    assert_int_equal(fix_counted(MN_MEM_POLICY), policy);
    assert_int_equal(f.cache->n_seen, 70);
    assert_int_equal(mn__cache_reserve(f.cache, 513, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "513"));
    while (f.cache->n_seen + 512 <= 4096) fix_feed(f.cache, 512);
    assert_int_equal(mn__cache_reserve(f.cache, (size_t)(4097 - f.cache->n_seen), &diag),
                     MN_ERANGE);
    assert_int_equal(f.cache->n_reserved, 0);
    fix_feed(f.cache, (size_t)(4096 - f.cache->n_seen)); /* to the brim */
    assert_int_equal(mn__cache_reserve(f.cache, 1, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "4096"));
    fix_fini(&f);
}

/* Wherever the limit strikes, a step is refused whole. */
static void test_reserve_under_a_limit(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache *child;
    size_t refused = 0;
    fix_init(&f, MN__KV_Q8, false);
    fix_feed(f.cache, 500);
    fix_feed(f.cache, 500);
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    struct image was = fix_image(f.cache, 0, 1);
    void *tail = ((void **)mn__cache_lane(f.cache, 0, 1)->page.data)[15];
    for (size_t room = 0;; room += 4096) {
        mn_mem_stats before, after;
        mn_diag diag = {""};
        mn_mem_get_stats(&before);
        mn_mem_set_limit(before.total_now + room + 1);
        mn_status st = mn__cache_reserve(f.cache, 200, &diag);
        mn_mem_set_limit(0);
        if (st == MN_OK) break;
        refused++;
        mn_mem_get_stats(&after);
        assert_int_equal(st, MN_ENOMEM);
        assert_non_null(strstr(diag.text, "200"));
        assert_int_equal(after.now[MN_MEM_KV], before.now[MN_MEM_KV]);
        assert_int_equal(after.now[MN_MEM_POLICY], before.now[MN_MEM_POLICY]);
        assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(f.cache));
        assert_ptr_equal(((void **)mn__cache_lane(f.cache, 0, 1)->page.data)[15], tail);
        fix_assert_gathered(f.cache, 0, 1, &was, NULL, 1000);
    }
    assert_true(refused > 20);
    assert_ptr_not_equal(((void **)mn__cache_lane(f.cache, 0, 1)->page.data)[15], tail);
    fix_image_free(&was);
    mn__cache_rollback(f.cache);
    mn__cache_free(child);
    fix_fini(&f);
}

static void test_fork_copies_on_write(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        mn__cache *child;
        fix_init(&f, types[t], false);
        fix_feed(f.cache, 200);
        memset(mn__cache_lane(f.cache, 2, 0)->lane_state, 9, 5);
        struct image was = fix_image(f.cache, 0, 0);
        size_t bytes = mn__pool_bytes(f.pool);
        assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
        assert_int_equal(mn__pool_bytes(f.pool), bytes); /* nothing copied yet */
        assert_int_equal(mn__cache_lane(child, 2, 0)->lane_state[4], 9);
        fix_assert_gathered(child, 0, 0, &was, NULL, 200);

        /* The child writes other rows at the parent's next slots: as if its next tokens were 1000
         * on. */
        child->n_seen = 1000;
        fix_feed(child, 30);
        fix_assert_gathered(f.cache, 0, 0, &was, NULL, 200);
        fix_feed(f.cache, 20);
        assert_rows(f.cache, 0, 0);
        assert_rows(child, 0, 0);
        assert_int_equal(mn__lane_token(mn__cache_lane(child, 0, 0))[200], 1000);
        assert_int_equal(mn__lane_token(mn__cache_lane(f.cache, 0, 0))[200], 200);
        mn__cache_free(f.cache); /* what is shared outlives the parent */
        f.cache = child;
        assert_rows(child, 0, 0);
        assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(child));
        fix_image_free(&was);
        fix_fini(&f);
    }
}

/* Every query still to come must find every slot it sees; pages that none sees are gone. */
static void test_window(void **state)
{
    (void)state;
    static const size_t step[] = {1, 3, 64, 100, 17, 500, 1, 1, 2, 63, 65};
    struct fixture f;
    fix_init(&f, MN__KV_BF16, false);
    for (size_t i = 0; i < sizeof step / sizeof *step + 300; i++) {
        size_t n_new = i < 300 ? 1 : step[i - 300]; /* every end of a window first */
        mn__lane *l = mn__cache_lane(f.cache, 1, 1);
        assert_int_equal(mn__cache_reserve(f.cache, n_new, NULL), MN_OK);
        fix_write(f.cache, n_new);
        size_t n = l->n + n_new;
        for (int64_t pos = f.cache->n_seen; pos < f.cache->n_seen + (int64_t)n_new; pos++) {
            size_t first = 0;
            while (first < n && mn__lane_pos(l)[first] <= pos - FIX_WINDOW) first++;
            assert_int_equal(mn__lane_first_visible(l, FIX_WINDOW, pos), first);
            int64_t oldest = pos >= FIX_WINDOW ? pos - FIX_WINDOW + 1 : 0;
            assert_int_equal(mn__lane_pos(l)[first], oldest); /* nothing that it sees is missing */
        }
        mn__cache_commit(f.cache);
        size_t hidden = mn__lane_first_visible(l, FIX_WINDOW, f.cache->n_seen);
        assert_true(hidden < MN__PAGE_TOKENS);
        for (size_t k = 0; k < l->n; k++) {
            int64_t token = f.cache->n_seen - (int64_t)(l->n - k);
            assert_int_equal(mn__lane_token(l)[k], token);
            assert_int_equal(l->state.data[k * FIX_STATE], fix_state(FIX_KV_HEADS + 1, token, 0));
        }
        assert_rows(f.cache, 1, 1);
        assert_int_equal(mn__lane_first_visible(mn__cache_lane(f.cache, 0, 0), 0, 5000), 0);
    }
    assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(f.cache));
    fix_fini(&f);
}

/* A long stream with all layers held short is flat in bytes. */
static void test_stream_is_flat(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t keep[256];
    size_t at_2000 = 0;
    fix_init(&f, MN__KV_BF16, true);
    while (f.cache->n_seen < 10000) {
        fix_feed(f.cache, 16);
        for (size_t i = 0; i < 2 * FIX_KV_HEADS; i++) {
            size_t layer = i / FIX_KV_HEADS * 2,
                   n = mn__cache_lane(f.cache, layer, i % FIX_KV_HEADS)->n;
            if (n < 256) continue;
            for (size_t j = 0; j < 192; j++) keep[j] = (uint32_t)(j < 4 ? j : n - 192 + j);
            assert_int_equal(mn__lane_keep(f.cache, layer, i % FIX_KV_HEADS, keep, 192), MN_OK);
        }
        if (f.cache->n_seen == 2000) at_2000 = fix_counted(MN_MEM_KV) + fix_counted(MN_MEM_POLICY);
        if (f.cache->n_seen > 2000)
            assert_true(fix_counted(MN_MEM_KV) + fix_counted(MN_MEM_POLICY) < at_2000 + 80000);
    }
    assert_true(at_2000 > 0);
    assert_true(mn__cache_lane(f.cache, 1, 0)->n <= FIX_WINDOW + MN__PAGE_TOKENS);
    assert_int_equal(mn__lane_token(mn__cache_lane(f.cache, 0, 0))[3], 3);
    fix_fini(&f);
}

static void test_rewind(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t keep[300];
    fix_init(&f, MN__KV_F32, false);
    fix_feed(f.cache, 300);
    size_t n_keep = fix_subset(keep, 300, 0.5, 1), n_old = 0;
    struct image was = fix_image(f.cache, 2, 1);
    assert_int_equal(mn__lane_keep(f.cache, 2, 1, keep, n_keep), MN_OK);
    while (keep[n_old] < 250) n_old++;
    assert_true(n_old > 50 && n_old < n_keep);
    assert_int_equal(mn__cache_rewind(f.cache, 50), MN_OK);
    assert_int_equal(f.cache->n_seen, 250);
    assert_int_equal(mn__cache_lane(f.cache, 0, 0)->n, 250);
    fix_assert_gathered(f.cache, 2, 1, &was, keep, n_old);
    assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(f.cache));
    fix_feed(f.cache, 10);
    assert_int_equal(mn__lane_pos(mn__cache_lane(f.cache, 2, 1))[n_old], 250);
    assert_rows(f.cache, 2, 1);
    assert_rows(f.cache, 1, 0);
    assert_int_equal(mn__cache_rewind(f.cache, 1000), MN_OK);
    assert_int_equal(f.cache->n_seen, 0);
    assert_int_equal(mn__pool_bytes(f.pool), 0);
    fix_feed(f.cache, 3);
    assert_rows(f.cache, 1, 1);
    fix_image_free(&was);
    fix_fini(&f);
}

static void test_bytes_and_clear(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t keep[2000];
    mn__cache_bytes b;
    size_t kv0 = fix_counted(MN_MEM_KV), policy0 = fix_counted(MN_MEM_POLICY);
    for (size_t t = 0; t < 6; t++) {
        fix_init(&f, types[t % 3], t >= 3);
        for (size_t i = 0; i < 4; i++) fix_feed(f.cache, 500);
        mn__cache_get_bytes(f.cache, &b);
        assert_int_equal(b.kv, b.kv_full);
        assert_int_equal(b.kv + b.kv_window, fix_counted(MN_MEM_KV) - kv0);
        assert_int_equal(b.policy, fix_counted(MN_MEM_POLICY) - policy0);
        for (size_t i = 0; i < 2 * FIX_KV_HEADS; i++) {
            size_t n_keep = fix_subset(keep, 2000, 0.1 + 0.2 * (double)i, (uint32_t)i);
            assert_int_equal(mn__lane_keep(f.cache, i / 2 * 2, i % 2, keep, n_keep), MN_OK);
        }
        size_t full = b.kv_full;
        mn__cache_get_bytes(f.cache, &b);
        /* Heads this small hold little more than the origins of what moved. */
        assert_true(b.kv < (t < 3 ? full / 2 : full));
        assert_int_equal(b.kv_full, full);
        assert_int_equal(b.kv + b.kv_window, fix_counted(MN_MEM_KV) - kv0);
        assert_int_equal(b.policy, fix_counted(MN_MEM_POLICY) - policy0);
        assert_int_equal(mn__pool_bytes(f.pool), lane_page_bytes(f.cache));
        mn__cache_clear(f.cache);
        assert_int_equal(fix_counted(MN_MEM_KV), kv0);
        fix_feed(f.cache, 5);
        assert_int_equal(mn__lane_token(mn__cache_lane(f.cache, 2, 1))[0], 0);
        assert_int_equal(mn__cache_lane(f.cache, 2, 1)->n, 5);
        fix_fini(&f);
        assert_int_equal(fix_counted(MN_MEM_KV), kv0);
        assert_int_equal(fix_counted(MN_MEM_POLICY), policy0);
    }
}

static void test_bad_shapes(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache *c = NULL;
    mn_diag diag = {""};
    fix_init(&f, MN__KV_BF16, false);
    mn__cache_shape s = f.shape;
    s.head_dim = 514;
    assert_int_equal(mn__cache_new(&c, &s, f.pool, &f.kern, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "514"));
    s = f.shape;
    s.n_kv_head = 3;
    assert_int_equal(mn__cache_new(&c, &s, f.pool, &f.kern, &diag), MN_ERANGE);
    s = f.shape;
    s.slot_bytes = SIZE_MAX / 2;
    assert_int_equal(mn__cache_new(&c, &s, f.pool, &f.kern, &diag), MN_ENOMEM);
    size_t other = fix_counted(MN_MEM_OTHER);
    mn_mem_stats now;
    mn_mem_get_stats(&now);
    mn_mem_set_limit(now.total_now + 512);
    assert_int_equal(mn__cache_new(&c, &f.shape, f.pool, &f.kern, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_null(c);
    assert_int_equal(fix_counted(MN_MEM_OTHER), other);
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_put_in_runs),
        cmocka_unit_test(test_reserve_rollback_and_ranges),
        cmocka_unit_test(test_reserve_under_a_limit),
        cmocka_unit_test(test_fork_copies_on_write),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_stream_is_flat),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_bytes_and_clear),
        cmocka_unit_test(test_bad_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
