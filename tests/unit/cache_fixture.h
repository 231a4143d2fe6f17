/* cache_fixture.h: a small cache whose rows are known from their names alone, for the tests of
 * src/cache. */
#ifndef CACHE_FIXTURE_H
#define CACHE_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "cache/cache.h"
#include "cache/pool.h"

enum {
    FIX_LAYERS = 3,
    FIX_KV_HEADS = 2,
    FIX_HEADS = 4,
    FIX_DIM = 8,
    FIX_WINDOW = 100,
    FIX_STATE = 3
};
static const int32_t fix_window[FIX_LAYERS] = {0, FIX_WINDOW, 0}; /* layer 1 slides */
static const double fix_freq[FIX_DIM / 2] = {1.0, 0.1, 0.01, 0.001};

struct fixture {
    struct mn__kern kern;
    mn__rope rope;
    const mn__rope *rope_of[FIX_LAYERS];
    mn__cache_shape shape;
    mn__pool *pool;
    mn__cache *cache;
};

/* Under the thread sanitizer every byte has shadow bytes, and the resident size says nothing. */
#if defined(__SANITIZE_THREAD__)
#define FIX_RESIDENT_IS_OURS 0
#elif defined(__has_feature)
#define FIX_RESIDENT_IS_OURS (!__has_feature(thread_sanitizer))
#else
#define FIX_RESIDENT_IS_OURS 1
#endif

static inline size_t fix_counted(mn_mem_tag tag)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[tag];
}

/* Channel c of K (what 0), V (1) or a query of head `head` (2) of a token. */
static inline float fix_value(size_t what, size_t layer, size_t head, int64_t token, size_t c)
{
    uint64_t place = ((uint64_t)layer << 40) + ((uint64_t)head << 32) + (uint64_t)token;
    return (float)mn__rng_normal(7, (uint32_t)what, place, (uint32_t)c);
}

static inline void fix_row(size_t what, size_t layer, size_t head, int64_t token, float *row)
{
    for (size_t c = 0; c < FIX_DIM; c++) row[c] = fix_value(what, layer, head, token, c);
}

static inline void fix_init(struct fixture *f, mn__kv_type type, bool compact)
{
    *f = (struct fixture){
        .rope = {.n_rot = FIX_DIM, .neox = true, .magnitude = 1.0f, .freq = fix_freq}};
    const char *level = getenv("MN_TEST_CPU");
    mn__cpu_level cpu = MN__CPU_REF;
    if (level) assert_int_equal(mn__cpu_level_parse(level, &cpu, NULL), MN_OK);
    mn__kern_init(&f->kern, (int)cpu);
    for (size_t i = 0; i < FIX_LAYERS; i++) f->rope_of[i] = &f->rope;
    f->shape = (mn__cache_shape){.n_layer = FIX_LAYERS,
                                 .n_head = FIX_HEADS,
                                 .n_kv_head = FIX_KV_HEADS,
                                 .head_dim = FIX_DIM,
                                 .window = fix_window,
                                 .rope = f->rope_of,
                                 .kv_type = type,
                                 .compact = compact,
                                 .max_slots = 4096,
                                 .max_step = 512,
                                 .slot_bytes = FIX_STATE,
                                 .lane_bytes = 5,
                                 .n_query_ring = 40};
    assert_int_equal(mn__pool_new(&f->pool, type, FIX_DIM, NULL), MN_OK);
    assert_int_equal(mn__cache_new(&f->cache, &f->shape, f->pool, &f->kern, NULL), MN_OK);
    assert_int_equal(mn__cache_open_ring(f->cache, NULL), MN_OK);
}

static inline void fix_fini(struct fixture *f)
{
    mn__cache_free(f->cache);
    assert_int_equal(mn__pool_bytes(f->pool), 0);
    mn__pool_free(f->pool);
}

/* The state that a policy might have left at a slot. */
static inline uint8_t fix_state(size_t lane, int64_t token, size_t i)
{
    return (uint8_t)(token * 7 + (int64_t)(lane * 3 + i) + 1);
}

static inline void fix_write_lane(mn__cache *c, size_t layer, size_t head, size_t n)
{
    float *k = malloc(n * FIX_DIM * sizeof *k), *v = malloc(n * FIX_DIM * sizeof *v);
    mn__lane *l = mn__cache_lane(c, layer, head);
    for (size_t i = 0; i < n; i++) {
        int64_t token = c->n_seen + (int64_t)i;
        fix_row(0, layer, head, token, k + i * FIX_DIM);
        fix_row(1, layer, head, token, v + i * FIX_DIM);
        for (size_t b = 0; b < FIX_STATE; b++) {
            uint8_t *state = &l->state.data[(l->n + i) * FIX_STATE + b];
            assert_int_equal(*state, 0);
            *state = fix_state(layer * FIX_KV_HEADS + head, token, b);
        }
    }
    mn__lane_put(c, l, 0, k, FIX_DIM, v, FIX_DIM, n);
    free(k);
    free(v);
}

/* One step of n tokens after a successful reserve. */
static inline void fix_write(mn__cache *c, size_t n)
{
    for (size_t layer = 0; layer < FIX_LAYERS; layer++) {
        for (size_t head = 0; head < FIX_KV_HEADS; head++) fix_write_lane(c, layer, head, n);
        for (size_t i = n; i-- > 0;) { /* threads may come in any order */
            float q[FIX_HEADS * FIX_DIM];
            for (size_t h = 0; h < FIX_HEADS; h++)
                fix_row(2, layer, h, c->n_seen + (int64_t)i, q + h * FIX_DIM);
            mn__cache_put_query(c, layer, i, q);
        }
    }
}

static inline void fix_feed(mn__cache *c, size_t n)
{
    assert_int_equal(mn__cache_reserve(c, n, NULL), MN_OK);
    fix_write(c, n);
    mn__cache_commit(c);
}

/* All that a lane says of its slots. */
struct image {
    size_t n;
    float *k, *v;
    int32_t *pos, *token;
    uint8_t *state;
};

static inline struct image fix_image(const mn__cache *c, size_t layer, size_t head)
{
    const mn__lane *l = mn__cache_lane(c, layer, head);
    size_t n = l->n, some = n + 1;
    struct image m = {n,
                      malloc(some * FIX_DIM * 4),
                      malloc(some * FIX_DIM * 4),
                      malloc(some * 4),
                      malloc(some * 4),
                      malloc(some * FIX_STATE)};
    mn__lane_read(c, l, 0, n, m.k, m.v);
    if (n == 0) return m;
    memcpy(m.pos, l->pos.data, n * 4);
    memcpy(m.token, l->token.data, n * 4);
    memcpy(m.state, l->state.data, n * FIX_STATE);
    return m;
}

static inline void fix_image_free(struct image *m)
{
    free(m->k);
    free(m->v);
    free(m->pos);
    free(m->token);
    free(m->state);
}

/* Is the lane now the slots keep[0..n) of the image, bit for bit? keep NULL: all of them in order.
 */
static inline void fix_assert_gathered(const mn__cache *c, size_t layer, size_t head,
                                       const struct image *was, const uint32_t *keep, size_t n)
{
    struct image m = fix_image(c, layer, head);
    assert_int_equal(m.n, n);
    for (size_t i = 0; i < n; i++) {
        size_t from = keep ? keep[i] : i;
        assert_int_equal(m.token[i], was->token[from]);
        assert_int_equal(m.pos[i], was->pos[from]);
        assert_memory_equal(m.state + i * FIX_STATE, was->state + from * FIX_STATE, FIX_STATE);
        assert_memory_equal(m.k + i * FIX_DIM, was->k + from * FIX_DIM, FIX_DIM * 4);
        assert_memory_equal(m.v + i * FIX_DIM, was->v + from * FIX_DIM, FIX_DIM * 4);
    }
    fix_image_free(&m);
}

/* A subset of [0, n) where each is in with the given chance; returns its size. */
static inline size_t fix_subset(uint32_t *keep, size_t n, double chance, uint32_t name)
{
    size_t n_keep = 0;
    for (size_t i = 0; i < n; i++)
        if (mn__rng_uniform(11, name, i, 0) < chance) keep[n_keep++] = (uint32_t)i;
    return n_keep;
}

#endif
