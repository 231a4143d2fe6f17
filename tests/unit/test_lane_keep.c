/* test_lane_keep.c: an evicted lane is the gather of its survivors, whatever they are, in place or
 * in copies of shared pages; compact positions turn keys as the formula says. */
#include "cache_fixture.h"

static const mn__kv_type types[] = {MN__KV_BF16, MN__KV_F32, MN__KV_Q8};
enum { N = 700 };

static void **pages(const mn__cache *c, size_t layer, size_t head)
{
    return (void **)mn__cache_lane(c, layer, head)->page.data;
}

static void test_keeping_all_is_identity(void **state)
{
    (void)state;
    uint32_t keep[N];
    fix_subset(keep, N, 2.0, 0);
    for (size_t i = 0; i < 6; i++) {
        struct fixture f;
        void *before[N / MN__PAGE_TOKENS + 1];
        fix_init(&f, types[i % 3], i >= 3);
        fix_feed(f.cache, 500);
        fix_feed(f.cache, 200);
        struct image was = fix_image(f.cache, 0, 1);
        memcpy(before, pages(f.cache, 0, 1), sizeof before);
        assert_int_equal(mn__lane_keep(f.cache, 0, 1, keep, N), MN_OK);
        fix_assert_gathered(f.cache, 0, 1, &was, NULL, N);
        assert_memory_equal(pages(f.cache, 0, 1), before, sizeof before);
        fix_image_free(&was);
        fix_fini(&f);
    }
}

/* Random subsets of every density, one after the other, ragged over the lanes. */
static void test_subsets_are_gathered(void **state)
{
    (void)state;
    static const double chance[] = {0.97, 0.5, 0.999, 0.1, 0.9, 0.02, 0.0};
    uint32_t keep[4096];
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        uint32_t name = 0;
        fix_init(&f, types[t], false);
        for (size_t round = 0; round < sizeof chance / sizeof *chance; round++) {
            fix_feed(f.cache, 333);
            for (size_t head = 0; head < FIX_KV_HEADS; head++, name++) {
                struct image was = fix_image(f.cache, 2, head);
                size_t n_keep = fix_subset(keep, was.n, chance[(round + head) % 7], name);
                assert_int_equal(mn__lane_keep(f.cache, 2, head, keep, n_keep), MN_OK);
                fix_assert_gathered(f.cache, 2, head, &was, keep, n_keep);
                assert_int_equal(mn__cache_lane(f.cache, 2, head)->n_page, (n_keep + 63) / 64);
                fix_image_free(&was);
            }
        }
        assert_int_equal(mn__cache_lane(f.cache, 0, 0)->n, 7 * 333);
        fix_fini(&f);
    }
}

/* Runs that start at any slot and move by any distance, within a page and over its ends. */
static void test_runs_are_gathered(void **state)
{
    (void)state;
    uint32_t keep[N];
    for (size_t t = 0; t < 3; t++)
        for (size_t cut = 0; cut < 140; cut += t == 1 ? 3 : 1) {
            struct fixture f;
            size_t n_keep = 0, gap = cut % 37 + 1;
            fix_init(&f, types[t], false);
            fix_feed(f.cache, 200);
            struct image was = fix_image(f.cache, 0, 0);
            for (size_t i = 0; i < 200; i++)
                if (i < cut || i >= cut + gap) keep[n_keep++] = (uint32_t)i;
            assert_int_equal(n_keep, 200 - gap);
            assert_int_equal(mn__lane_keep(f.cache, 0, 0, keep, n_keep), MN_OK);
            fix_assert_gathered(f.cache, 0, 0, &was, keep, n_keep);
            fix_image_free(&was);
            fix_fini(&f);
        }
}

/* Dropping whole aligned pages moves pointers, not data. */
static void test_aligned_runs_move_by_pointer(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t keep[N];
    size_t n_keep = 0;
    void *before[N / 64 + 1];
    fix_init(&f, MN__KV_BF16, false);
    fix_feed(f.cache, 500);
    fix_feed(f.cache, 200);
    for (uint32_t i = 0; i < N; i++)
        if (i < 64 || i >= 256) keep[n_keep++] = i;
    struct image was = fix_image(f.cache, 0, 0);
    memcpy(before, pages(f.cache, 0, 0), sizeof before);
    assert_int_equal(mn__lane_keep(f.cache, 0, 0, keep, n_keep), MN_OK);
    fix_assert_gathered(f.cache, 0, 0, &was, keep, n_keep);
    assert_ptr_equal(pages(f.cache, 0, 0)[0], before[0]);
    for (size_t i = 1; i < (n_keep + 63) / 64; i++)
        assert_ptr_equal(pages(f.cache, 0, 0)[i], before[i + 3]);
    fix_feed(f.cache, 100);
    fix_image_free(&was);
    fix_fini(&f);
}

/* Parent and child evict differently; neither sees the other, and untouched pages stay shared. */
static void test_forks_diverge(void **state)
{
    (void)state;
    uint32_t mine[N], theirs[N];
    for (uint32_t i = 0; i < 12; i++) {
        struct fixture f;
        mn__cache *child;
        fix_init(&f, types[i % 3], i >= 6);
        fix_feed(f.cache, 500);
        fix_feed(f.cache, 200);
        struct image was = fix_image(f.cache, 0, 0);
        assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
        size_t n_theirs = fix_subset(theirs, N, i % 2 ? 0.9 : 0.3, 100 + i);
        for (uint32_t k = 0; k < 64; k++) mine[k] = k;
        size_t n_mine = 64 + fix_subset(mine + 64, N - 64, 0.5, 200 + i);
        for (size_t k = 64; k < n_mine; k++) mine[k] += 64;
        assert_int_equal(mn__lane_keep(child, 0, 0, theirs, n_theirs), MN_OK);
        fix_assert_gathered(f.cache, 0, 0, &was, NULL, N);
        struct image child_now = fix_image(child, 0, 0);
        if (i < 6) fix_assert_gathered(child, 0, 0, &was, theirs, n_theirs);
        assert_int_equal(mn__lane_keep(f.cache, 0, 0, mine, n_mine), MN_OK);
        fix_assert_gathered(child, 0, 0, &child_now, NULL, n_theirs);
        if (i < 6) fix_assert_gathered(f.cache, 0, 0, &was, mine, n_mine);
        fix_feed(f.cache, 10);
        fix_assert_gathered(child, 0, 0, &child_now, NULL, n_theirs);
        fix_image_free(&was);
        fix_image_free(&child_now);
        mn__cache_free(child);
        fix_fini(&f);
    }
}

static void test_untouched_pages_stay_shared(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache *child;
    uint32_t keep[N];
    fix_init(&f, MN__KV_BF16, false);
    fix_feed(f.cache, 500);
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    for (uint32_t i = 0; i < 499; i++) keep[i] = i < 320 ? i : i + 1;
    size_t bytes = mn__pool_bytes(f.pool), page = mn__pool_page_bytes(MN__KV_BF16, FIX_DIM);
    assert_int_equal(mn__lane_keep(child, 0, 0, keep, 499), MN_OK);
    assert_int_equal(mn__pool_bytes(f.pool), bytes + 3 * page); /* 320..499 lie in three pages */
    for (size_t i = 0; i < 5; i++) assert_ptr_equal(pages(child, 0, 0)[i], pages(f.cache, 0, 0)[i]);
    mn__cache_free(child);
    fix_fini(&f);
}

/* Copies that the limit refuses leave the lane as it was. */
static void test_refused_copies_change_nothing(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache *child;
    uint32_t keep[N];
    mn_mem_stats s;
    fix_init(&f, MN__KV_BF16, true);
    fix_feed(f.cache, 500);
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    struct image was = fix_image(child, 2, 0);
    size_t n_keep = fix_subset(keep, 500, 0.5, 3), kv = fix_counted(MN_MEM_KV);
    mn_mem_get_stats(&s);
    mn_mem_set_limit(s.total_now + 8192);
    assert_int_equal(mn__lane_keep(child, 2, 0, keep, n_keep), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(fix_counted(MN_MEM_KV), kv);
    fix_assert_gathered(child, 2, 0, &was, NULL, 500);
    assert_int_equal(mn__lane_keep(child, 2, 0, keep, n_keep), MN_OK);
    fix_image_free(&was);
    mn__cache_free(child);
    fix_fini(&f);
}

/* ---- new values for survivors ---- */

/* Twice the value and 1 more. */
static void twice(const mn__revalue *r, size_t i, float *v)
{
    (void)r;
    (void)i;
    for (size_t c = 0; c < FIX_DIM; c++) v[c] = 2 * v[c] + 1;
}

/* Every third survivor from the 40th to the 400th. */
static mn__revalue some_survivors(const uint32_t *keep, size_t n_keep, uint32_t *slot)
{
    mn__revalue r = {.slot = slot, .value = twice};
    for (size_t j = 40; j < n_keep && j < 400; j += 3) slot[r.n++] = keep[j];
    return r;
}

/* Changed values are rounded once, 8-bit ones with a scale of their own; all else is as without. */
static void assert_revalued(const mn__cache *c, const struct image *plain, mn__kv_type type)
{
    static const double tolerance[] = {1. / 256, 0, 0};
    struct image now = fix_image(c, 0, 1);
    assert_int_equal(now.n, plain->n);
    assert_memory_equal(now.k, plain->k, now.n * FIX_DIM * 4);
    assert_memory_equal(now.pos, plain->pos, now.n * 4);
    assert_memory_equal(now.token, plain->token, now.n * 4);
    assert_memory_equal(now.state, plain->state, now.n * FIX_STATE);
    for (size_t j = 0; j < now.n; j++) {
        const float *v = now.v + j * FIX_DIM, *was = plain->v + j * FIX_DIM;
        bool changes = j >= 40 && j < 400 && (j - 40) % 3 == 0;
        float want[FIX_DIM], top = 0;
        memcpy(want, was, sizeof want);
        if (changes) twice(NULL, 0, want);
        for (size_t i = 0; i < FIX_DIM; i++) top = fmaxf(top, fabsf(want[i]));
        for (size_t i = 0; i < FIX_DIM; i++) {
            double off = changes ? fabs((double)want[i]) * tolerance[type] : 0;
            if (changes && type == MN__KV_Q8) off = 0.501 * (double)top / 127;
            assert_true(fabs((double)v[i] - (double)want[i]) <= off);
        }
    }
    fix_image_free(&now);
}

static void test_values_change(void **state)
{
    (void)state;
    uint32_t keep[N], slot[N];
    for (uint32_t i = 0; i < 12; i++) {
        struct fixture f;
        mn__cache *plain, *child;
        fix_init(&f, types[i % 3], i >= 6);
        fix_feed(f.cache, 500);
        fix_feed(f.cache, 200);
        size_t n_keep = fix_subset(keep, N, i % 2 ? 0.9 : 0.3, 50 + i);
        mn__revalue r = some_survivors(keep, n_keep, slot);
        assert_true(r.n > 40);
        assert_int_equal(mn__cache_fork(&plain, f.cache, NULL), MN_OK);
        assert_int_equal(mn__lane_keep(plain, 0, 1, keep, n_keep), MN_OK);
        struct image was = fix_image(f.cache, 0, 1), without = fix_image(plain, 0, 1);
        /* into pages that a fork shares, and into pages of the lane's own */
        assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
        assert_int_equal(mn__lane_keep_revalued(child, 0, 1, keep, n_keep, &r), MN_OK);
        assert_revalued(child, &without, types[i % 3]);
        fix_assert_gathered(f.cache, 0, 1, &was, NULL, N);
        mn__cache_free(child);
        assert_int_equal(mn__lane_keep_revalued(f.cache, 0, 1, keep, n_keep, &r), MN_OK);
        assert_revalued(f.cache, &without, types[i % 3]);
        mn__cache_free(plain);
        fix_image_free(&was);
        fix_image_free(&without);
        fix_fini(&f);
    }
}

/* Where nothing but values changes, every page of them needs a copy; without it nothing happens. */
static void test_refused_values_change_nothing(void **state)
{
    (void)state;
    struct fixture f;
    mn__cache *child;
    uint32_t keep[N], slot[N];
    mn_mem_stats s;
    fix_init(&f, MN__KV_BF16, false);
    fix_feed(f.cache, 500);
    assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
    struct image was = fix_image(child, 0, 1);
    for (uint32_t i = 0; i < 448; i++) keep[i] = i; /* whole pages */
    mn__revalue r = some_survivors(keep, 448, slot);
    size_t bytes = mn__pool_bytes(f.pool), page = mn__pool_page_bytes(MN__KV_BF16, FIX_DIM);
    mn_mem_get_stats(&s);
    mn_mem_set_limit(s.total_now + 6 * page); /* slots 40 to 399 lie in seven */
    assert_int_equal(mn__lane_keep_revalued(child, 0, 1, keep, 448, &r), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__pool_bytes(f.pool), bytes);
    fix_assert_gathered(child, 0, 1, &was, NULL, 500);
    assert_int_equal(mn__lane_keep_revalued(child, 0, 1, keep, 448, &r), MN_OK);
    assert_int_equal(mn__pool_bytes(f.pool), bytes + 7 * page);
    fix_image_free(&was);
    mn__cache_free(child);
    fix_fini(&f);
}

/* Turn a key by a number of positions in double. */
static void turned(const float *k, int64_t by, double *out)
{
    for (size_t c = 0; c < FIX_DIM / 2; c++) {
        double angle = (double)by * fix_freq[c], a = k[c], b = k[c + FIX_DIM / 2];
        out[c] = a * cos(angle) - b * sin(angle);
        out[c + FIX_DIM / 2] = a * sin(angle) + b * cos(angle);
    }
}

static void test_compact_positions(void **state)
{
    (void)state;
    static const double tolerance[] = {0.02, 2e-6, 0.05};
    uint32_t keep[N];
    for (size_t t = 0; t < 3; t++) {
        struct fixture f;
        size_t n_turned = 0;
        fix_init(&f, types[t], true);
        fix_feed(f.cache, 500);
        fix_feed(f.cache, 200);
        size_t n_keep = fix_subset(keep, N, 0.4, 5);
        keep[n_keep - 1] = N - 1;
        struct image was = fix_image(f.cache, 0, 1);
        assert_int_equal(mn__lane_keep(f.cache, 0, 1, keep, n_keep), MN_OK);
        struct image now = fix_image(f.cache, 0, 1);
        for (size_t j = 0; j < n_keep; j++) {
            double want[FIX_DIM];
            int64_t pos = (int64_t)(N - n_keep + j);
            turned(was.k + keep[j] * FIX_DIM, pos - keep[j], want);
            assert_int_equal(now.pos[j], pos);
            assert_int_equal(now.token[j], keep[j]);
            assert_memory_equal(now.v + j * FIX_DIM, was.v + keep[j] * FIX_DIM, FIX_DIM * 4);
            for (size_t c = 0; c < FIX_DIM; c++)
                assert_true(fabs(now.k[j * FIX_DIM + c] - want[c]) <= tolerance[t]);
            n_turned += pos != keep[j];
        }
        assert_true(n_turned > 100);
        assert_memory_equal(now.k + (n_keep - 1) * FIX_DIM, was.k + (N - 1) * FIX_DIM, FIX_DIM * 4);
        fix_feed(f.cache, 1);
        assert_int_equal(mn__lane_pos(mn__cache_lane(f.cache, 0, 1))[n_keep], N);
        fix_image_free(&was);
        fix_image_free(&now);
        fix_fini(&f);
    }
}

/* The same survivors after hundreds of small cuts or one large one: the same bits, in the parent
 * and in a fork made half-way. Slow channels would otherwise stand still under bf16. */
static void test_many_turns_are_one(void **state)
{
    (void)state;
    uint32_t keep[N];
    for (size_t t = 0; t < 3; t++) {
        struct fixture f, once;
        mn__cache *child = NULL;
        fix_init(&f, types[t], true);
        fix_init(&once, types[t], true);
        fix_feed(f.cache, 80);
        fix_feed(once.cache, 80);
        for (uint32_t i = 0; i < 80; i++) keep[i] = i < 4 ? i : i + 1; /* four sinks stay */
        for (size_t i = 0; i < 600; i++) {
            fix_feed(f.cache, 1);
            fix_feed(once.cache, 1);
            assert_int_equal(mn__lane_keep(f.cache, 0, 0, keep, 80), MN_OK);
            if (i == 300) assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
            if (i > 300) {
                fix_feed(child, 1);
                assert_int_equal(mn__lane_keep(child, 0, 0, keep, 80), MN_OK);
            }
        }
        for (uint32_t i = 0; i < 80; i++) keep[i] = i < 4 ? i : 600 + i;
        assert_int_equal(mn__lane_keep(once.cache, 0, 0, keep, 80), MN_OK);
        struct image want = fix_image(once.cache, 0, 0);
        assert_int_equal(want.pos[3], 603);
        fix_assert_gathered(f.cache, 0, 0, &want, NULL, 80);
        fix_assert_gathered(child, 0, 0, &want, NULL, 80);
        assert_int_equal(mn__cache_lane(f.cache, 0, 0)->n_origin, 4);
        fix_image_free(&want);
        mn__cache_free(child);
        fix_fini(&f);
        fix_fini(&once);
    }
}

/* Cuts that also drop keys that have moved before. */
static void test_cuts_in_a_row_are_one(void **state)
{
    (void)state;
    uint32_t first[N], second[N], both[N];
    for (size_t t = 0; t < 3; t++) {
        struct fixture f, once;
        fix_init(&f, types[t], true);
        fix_init(&once, types[t], true);
        fix_feed(f.cache, 400);
        fix_feed(once.cache, 400);
        size_t n_first = fix_subset(first, 400, 0.5, 40), n_second;
        assert_int_equal(mn__lane_keep(f.cache, 2, 1, first, n_first), MN_OK);
        fix_feed(f.cache, 200);
        fix_feed(once.cache, 200);
        n_second = fix_subset(second, n_first + 200, 0.5, 41);
        for (size_t j = 0; j < n_second; j++)
            both[j] = second[j] < n_first ? first[second[j]] : second[j] - (uint32_t)n_first + 400;
        assert_int_equal(mn__lane_keep(f.cache, 2, 1, second, n_second), MN_OK);
        assert_int_equal(mn__lane_keep(once.cache, 2, 1, both, n_second), MN_OK);
        struct image want = fix_image(once.cache, 2, 1);
        fix_assert_gathered(f.cache, 2, 1, &want, NULL, n_second);
        fix_image_free(&want);
        fix_fini(&f);
        fix_fini(&once);
    }
}

/* Rewinding past an evicted end pulls survivors back behind the next query. */
static void test_compact_rewind(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t keep[N];
    fix_init(&f, MN__KV_F32, true);
    fix_feed(f.cache, 300);
    struct image was = fix_image(f.cache, 0, 0);
    for (uint32_t i = 0; i < 200; i++) keep[i] = i; /* the newest 100 go */
    assert_int_equal(mn__lane_keep(f.cache, 0, 0, keep, 200), MN_OK);
    assert_int_equal(mn__lane_pos(mn__cache_lane(f.cache, 0, 0))[199], 299);
    assert_int_equal(mn__cache_rewind(f.cache, 50), MN_OK);
    struct image now = fix_image(f.cache, 0, 0);
    assert_int_equal(now.n, 200);
    for (size_t j = 0; j < 200; j++) {
        double want[FIX_DIM];
        turned(was.k + j * FIX_DIM, 50, want);
        assert_int_equal(now.pos[j], 50 + j);
        for (size_t c = 0; c < FIX_DIM; c++)
            assert_true(fabs(now.k[j * FIX_DIM + c] - want[c]) <= 5e-6);
    }
    fix_image_free(&was);
    fix_image_free(&now);
    fix_fini(&f);
}

/* spec/eviction-policies.md 11: a key of token 9 moved to position 5, and back again. */
static void test_golden_rotation(void **state)
{
    (void)state;
    static const float at_9[4] = {-0.190782f, -0.092888f, 0.743122f, -0.422489f};
    static const float at_5[4] = {-0.437693f, -0.109708f, -0.630121f, -0.418436f};
    static const double freq[2] = {1.0, 0.01};
    static const uint32_t keep[6] = {0, 1, 2, 3, 4, 9}, last[1] = {5};
    static const int32_t window[1] = {0};
    const mn__rope rope = {.n_rot = 4, .neox = true, .magnitude = 1.0f, .freq = freq};
    const mn__rope *rope_of[1] = {&rope};
    mn__cache_shape s = {.n_layer = 1,
                         .n_head = 1,
                         .n_kv_head = 1,
                         .head_dim = 4,
                         .window = window,
                         .rope = rope_of,
                         .kv_type = MN__KV_F32,
                         .compact = true,
                         .max_slots = 64,
                         .max_step = 64};
    struct mn__kern kern;
    mn__pool *pool;
    mn__cache *c;
    float k[10][4] = {{0}}, got[4];
    mn__kern_init(&kern, MN__CPU_REF);
    assert_int_equal(mn__pool_new(&pool, MN__KV_F32, 4, NULL), MN_OK);
    assert_int_equal(mn__cache_new(&c, &s, pool, &kern, NULL), MN_OK);
    memcpy(k[9], at_9, sizeof at_9);
    assert_int_equal(mn__cache_reserve(c, 10, NULL), MN_OK);
    mn__lane_put(c, &c->lane[0], 0, k[0], 4, k[0], 4, 10);
    mn__cache_commit(c);
    c->n_seen = 6; /* number survivors from 0 as the golden values do */
    assert_int_equal(mn__lane_keep(c, 0, 0, keep, 6), MN_OK);
    assert_int_equal(mn__lane_pos(&c->lane[0])[5], 5);
    mn__lane_read(c, &c->lane[0], 5, 1, got, NULL);
    for (size_t i = 0; i < 4; i++) assert_true(fabsf(got[i] - at_5[i]) < 2e-6f);
    c->n_seen = 10;
    assert_int_equal(mn__lane_keep(c, 0, 0, last, 1), MN_OK);
    assert_int_equal(mn__lane_pos(&c->lane[0])[0], 9);
    mn__lane_read(c, &c->lane[0], 0, 1, got, NULL);
    for (size_t i = 0; i < 4; i++) assert_true(fabsf(got[i] - at_9[i]) < 2e-6f);
    mn__cache_free(c);
    mn__pool_free(pool);
}

/* A cache of tens of megabytes: what eviction drops leaves the process. */
static void test_resident_size_falls(void **state)
{
    (void)state;
    if (!FIX_RESIDENT_IS_OURS) skip();
    struct fixture f;
    mn__cache *c;
    uint32_t keep[4096];
    float *rows = calloc(512 * 128, sizeof *rows);
    fix_init(&f, MN__KV_F32, false);
    mn__pool *pool;
    mn__cache_shape s = f.shape;
    s.head_dim = 128;
    s.window = (const int32_t[]){0, 0, 0};
    assert_int_equal(mn__pool_new(&pool, MN__KV_F32, 128, NULL), MN_OK);
    assert_int_equal(mn__cache_new(&c, &s, pool, &f.kern, NULL), MN_OK);
    for (size_t i = 0; i < 512 * 128; i++) rows[i] = (float)(i % 97);
    for (size_t step = 0; step < 4; step++) {
        assert_int_equal(mn__cache_reserve(c, 512, NULL), MN_OK);
        for (size_t i = 0; i < FIX_LAYERS * FIX_KV_HEADS; i++)
            mn__lane_put(c, &c->lane[i], 0, rows, 128, rows, 128, 512);
        mn__cache_commit(c);
    }
    size_t full = mn_mem_resident(), kv = fix_counted(MN_MEM_KV) + fix_counted(MN_MEM_POLICY);
    assert_true(kv > (size_t)12 << 20);
    for (uint32_t i = 0; i < FIX_LAYERS * FIX_KV_HEADS; i++) {
        size_t n_keep = fix_subset(keep, 2048, 0.2, i);
        assert_int_equal(mn__lane_keep(c, i / 2, i % 2, keep, n_keep), MN_OK);
    }
    size_t counted = kv - fix_counted(MN_MEM_KV) - fix_counted(MN_MEM_POLICY);
    size_t left = full - mn_mem_resident();
    assert_true(counted > kv / 2);
    assert_true(fabs((double)left / (double)counted - 1) < 0.02);
    free(rows);
    mn__cache_free(c);
    mn__pool_free(pool);
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeping_all_is_identity),
        cmocka_unit_test(test_subsets_are_gathered),
        cmocka_unit_test(test_runs_are_gathered),
        cmocka_unit_test(test_aligned_runs_move_by_pointer),
        cmocka_unit_test(test_forks_diverge),
        cmocka_unit_test(test_untouched_pages_stay_shared),
        cmocka_unit_test(test_refused_copies_change_nothing),
        cmocka_unit_test(test_values_change),
        cmocka_unit_test(test_refused_values_change_nothing),
        cmocka_unit_test(test_compact_positions),
        cmocka_unit_test(test_many_turns_are_one),
        cmocka_unit_test(test_cuts_in_a_row_are_one),
        cmocka_unit_test(test_compact_rewind),
        cmocka_unit_test(test_golden_rotation),
        cmocka_unit_test(test_resident_size_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
