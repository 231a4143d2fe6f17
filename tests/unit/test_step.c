/* test_step.c: steps of few rows against sums in double and against the layers that train. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "layer/memory_layer.h"
#include "layer/moe.h"
#include "layer/ultramem.h"
#include "model/step_experts.h"
#include "model/step_look_up.h"
#include "model/step_memory.h"

static mn__step_kern kern;
static mn_diag diag;

/* ---- random numbers, exact in bf16 where they must be ---- */

static uint32_t stream;

static void *take(size_t n, size_t size)
{
    void *p = aligned_alloc(64, (n * size + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (n * size + 127) / 64 * 64);
    return p;
}

static mn_bf16 round_bf16(float x)
{
    mn_bf16 y;
    kern.best.f32_to_bf16(&y, &x, 1);
    return y;
}

static float widen(mn_bf16 x)
{
    float y;
    kern.best.bf16_to_f32(&y, &x, 1);
    return y;
}

/* Normal numbers that bf16 holds. */
static float *normals(size_t n, double scale)
{
    float *x = take(n, sizeof *x);
    stream++;
    for (size_t i = 0; i < n; i++)
        x[i] = widen(round_bf16((float)(scale * mn__rng_normal(11, stream, i, 0))));
    return x;
}

static mn_bf16 *narrow(const float *x, size_t n)
{
    mn_bf16 *y = take(n, sizeof *y);
    for (size_t i = 0; i < n; i++) y[i] = round_bf16(x[i]);
    return y;
}

static mn__matrix pack(const float *w, size_t n_in, size_t n_out)
{
    mn__matrix m = {.n_in = n_in, .n_out = n_out};
    mn_bf16 *panel = take(mn__matrix_values(&m), sizeof *panel);
    mn__matrix_pack(&m, &kern.best, w, panel);
    m.panel = panel;
    return m;
}

static void unpack(mn__matrix *m)
{
    free((void *)m->panel);
}

static double distance(const float *x, const float *y, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        off += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        all += (double)y[i] * (double)y[i];
    }
    return sqrt(off / all);
}

/* ---- matrices ---- */

static void run_on(int n_thread, void (*fn)(const mn__crew *, void *), void *arg)
{
    mn__team *team = mn__team_new(n_thread);
    assert_non_null(team);
    mn__team_run(team, fn, arg);
    mn__team_free(team);
}

static void multiply(const mn__crew *crew, void *arg)
{
    mn__step_multiply(crew, &kern, arg);
}

static void test_multiply(void **state)
{
    enum { K = 96, N0 = 70, N1 = 33, ROWS = 64, LD = N0 + N1 + 5 };
    static const size_t rows[] = {1, 3, MN__STEP_FEW - 1, MN__STEP_FEW, 33, ROWS};
    float *w0 = normals(N0 * K, 1), *w1 = normals(N1 * K, 1), *x = normals(ROWS * K, 1);
    mn_bf16 *xb = narrow(x, ROWS * K);
    mn__matrix m[2] = {pack(w0, K, N0), pack(w1, K, N1)};
    float *y = take(ROWS * LD, sizeof *y), *again = take(ROWS * LD, sizeof *again);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mn__step_product p = {.m = m, .n_matrix = 2, .rows = {xb, rows[i], K}, .y = y, .ld_y = LD};
        for (size_t c = 0; c < ROWS * LD; c++) y[c] = again[c] = 7;
        run_on(1, multiply, &p);
        p.add = true;
        run_on(1, multiply, &p);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t c = 0; c < LD; c++) {
                double sum = 0, mag = 0;
                const float *w = c < N0 ? w0 + c * K : w1 + (c - N0) * K;
                if (r >= rows[i] || c >= N0 + N1) {
                    assert_true(y[r * LD + c] == 7);
                    continue;
                }
                for (size_t k = 0; k < K; k++) {
                    sum += (double)x[r * K + k] * (double)w[k];
                    mag += fabs((double)x[r * K + k] * (double)w[k]);
                }
                assert_true(fabs((double)y[r * LD + c] - 2 * sum) <= 4e-6 * mag);
            }
        p.y = again;
        p.add = false;
        run_on(3, multiply, &p);
        p.add = true;
        run_on(2, multiply, &p);
        assert_memory_equal(y, again, ROWS * LD * sizeof *y);
    }
    unpack(&m[0]);
    unpack(&m[1]);
    free(w0), free(w1), free(x), free(xb), free(y), free(again);
}

/* ---- look-ups ---- */

typedef struct look_up_job {
    const mn__look_up *l;
    const float *x;
    float *part;
} look_up_job;

static void look_up(const mn__crew *crew, void *arg)
{
    const look_up_job *j = arg;
    mn__look_up_step(crew, &kern.best, j->l, j->x, j->part);
}

/* The layer that trains, with tables of whole numbers times a scale a row. */
static void test_look_up(void **state)
{
    enum { K = 11, TAU = 5, D = 48, ROWS = K << TAU };
    int8_t *rows = take(ROWS * D, 1);
    float *scale = take(ROWS, sizeof *scale), *bias = normals(D, 1), *x = normals(K * TAU, 1),
          *table = take(ROWS * D, sizeof *table), y[D], plain[D], twice[D],
          *part = take(MN__LOOK_UP_PARTS * D, sizeof *part),
          *other = take(MN__LOOK_UP_PARTS * D, sizeof *other);
    mn__tape tape = {0};
    (void)state;
    for (size_t i = 0; i < ROWS; i++) scale[i] = (float)(0.01 * (1 + mn__rng_uniform(3, 0, i, 0)));
    for (size_t i = 0; i < ROWS * D; i++) {
        rows[i] = (int8_t)((int)(mn__rng_uniform(3, 1, i, 0) * 255) - 127);
        table[i] = (float)rows[i] * scale[i / D];
    }
    for (int by_size = 0; by_size < 2; by_size++) {
        const mn__look_up l = {K, TAU, D, rows, scale, bias, 0.8f, by_size};
        look_up_job j = {&l, x, part};
        mn__memory_layer layer = {.n_table = K,
                                  .n_bit = TAU,
                                  .score = by_size ? MN__SCORE_L1_PROB : MN__SCORE_PROB,
                                  .temperature = (double)0.8f,
                                  .n_share = 1,
                                  .share = {{.n_out = D}}};
        mn__env env = {.tape = &tape};
        float *const to[] = {plain};
        layer.share[0].tables.w = table;
        layer.share[0].bias.w = bias;
        assert_int_equal(mn__tape_reserve(&tape, 1 << 16), MN_OK);
        mn__memory_layer_forward(&layer, &env, 1, x, to, D, NULL);
        run_on(1, look_up, &j);
        mn__look_up_sum(&l, part, false, y);
        assert_true(distance(y, plain, D) < 1e-5);
        j.part = other;
        run_on(3, look_up, &j);
        assert_memory_equal(part, other, MN__LOOK_UP_PARTS * D * sizeof *part);
        memcpy(twice, y, sizeof y);
        mn__look_up_sum(&l, part, true, twice);
        for (size_t c = 0; c < D; c++) assert_true(fabsf(twice[c] - 2 * y[c]) < 1e-5f);
    }
    mn__tape_fini(&tape);
    free(rows), free(scale), free(bias), free(x), free(table), free(part), free(other);
}

/* ---- experts ---- */

typedef struct experts_job {
    const mn__step_experts *l;
    mn__step_rows x;
    mn__step_experts_work *w;
    float *y;
} experts_job;

static void run_experts(const mn__crew *crew, void *arg)
{
    experts_job *j = arg;
    mn__step_experts_run(crew, &kern, j->l, &j->x, j->w, j->y);
}

/* The hidden rows are rounded to bf16 (2^-9), GELU is its tanh form (up to 5e-4 off). */
static void test_experts(void **state)
{
    enum { D = 64, F = 96, E = 5, KEEP = 2, ROWS = 40 };
    float *x = normals(ROWS * D, 1), *router = normals(E * D, 0.3), *w1 = normals(E * F * D, 0.1),
          *w2 = normals(E * F * D, 0.1), *turned = take(D * F, sizeof *turned),
          *y = take(ROWS * D, sizeof *y), *plain = take(ROWS * D, sizeof *plain),
          *ones = take(ROWS * 32, sizeof *ones);
    mn__matrix up[E], down[E];
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    (void)state;
    for (size_t i = 0; i < ROWS * 32; i++) ones[i] = 1;
    for (size_t e = 0; e < E; e++) {
        up[e] = pack(w1 + e * F * D, D, F);
        for (size_t i = 0; i < F * D; i++) turned[i % D * F + i / D] = w2[e * F * D + i];
        down[e] = pack(turned, F, D);
    }
    mn__step_experts l = {D, F, E, KEEP, pack(router, D, E), up, down};
    mn__step_experts_work w = {.logit = take(ROWS * E, sizeof(float)),
                               .packed = take(ROWS * KEEP * D, sizeof(mn_bf16)),
                               .hidden = take(ROWS * KEEP * F, sizeof(mn_bf16)),
                               .out = take(ROWS * KEEP * D, sizeof(float)),
                               .ones = ones};
    mn_bf16 *xb = narrow(x, ROWS * D);
    mn__moe layer = {
        .width = D, .inner = F, .n_expert = E, .n_keep = KEEP, .gelu = true, .n_layer = 1};
    layer.router.w = router;
    layer.w1.w = w1;
    layer.w2.w = w2;
    assert_int_equal(mn__tape_reserve(&tape, 1 << 20), MN_OK);
    mn__moe_forward(&layer, &env, ROWS, x, plain, NULL);
    experts_job j = {&l, {xb, ROWS, D}, &w, y};
    run_on(1, run_experts, &j);
    assert_true(distance(y, plain, ROWS * D) < 0.01);
    float *again = take(ROWS * D, sizeof *again);
    j.y = again;
    run_on(3, run_experts, &j);
    assert_memory_equal(y, again, ROWS * D * sizeof *y);
    run_on(2, run_experts, &j); /* is added */
    for (size_t i = 0; i < ROWS * D; i++) assert_true(fabsf(again[i] - 2 * y[i]) < 1e-5f);
    for (size_t e = 0; e < E; e++) unpack(&up[e]), unpack(&down[e]);
    unpack(&l.router);
    mn__tape_fini(&tape);
    free(x), free(router), free(w1), free(w2), free(turned), free(y), free(plain), free(ones);
    free(w.logit), free(w.packed), free(w.hidden), free(w.out), free(xb), free(again);
}

/* ---- UltraMem ---- */

enum {
    WIDTH = 64,
    HALF = 32,
    HEADS = 2,
    AXIS = 20,
    EXPAND = 4,
    KEYS = 2 * AXIS,
    RANK = 2,
    CORES = 2,
    KEEP = 6,
    VALUE = 32,
    TOKENS = 50,
};

typedef struct memory_job {
    const mn__step_memory *l;
    mn__step_rows x;
    mn__step_memory_work w;
    float *y;
} memory_job;

static void run_memory(const mn__crew *crew, void *arg)
{
    memory_job *j = arg;
    mn__step_memory_run(crew, &kern, j->l, &j->x, &j->w, j->y);
}

/* A layer whose matrices and rows bf16 holds. */
static float *make_layer(mn__ultramem *l, mn__params *list)
{
    *l = (mn__ultramem){.search = {.width = WIDTH,
                                   .n_head = HEADS,
                                   .half = HALF,
                                   .rank = RANK,
                                   .n_core = CORES,
                                   .n_keep = KEEP,
                                   .norm_eps = 1e-5f,
                                   .shuffle_seed = 3},
                        .value_width = VALUE,
                        .n_axis = AXIS,
                        .n_expand = EXPAND,
                        .n_block = 1};
    assert_int_equal(mn__ultramem_init(l, &diag), MN_OK);
    mn__ultramem_declare(l, list, "m");
    const size_t n = mn__params_size(list, false), n_state = mn__params_size(list, true);
    float *w = take(n + n_state, sizeof *w);
    mn__params_bind(list, w, NULL, w + n);
    mn__params_fill(list, NULL, 5);
    for (size_t i = 0; i < n; i++) w[i] = widen(round_bf16(w[i]));
    mn__tucker_search_refresh(&l->search);
    return w;
}

/* Keys normed, [2][n_head][n_key][rank][half], and what the singular pairs fold of them. */
static mn_bf16 *norm_keys(const mn__ultramem *l, mn__matrix *folded)
{
    const mn__tucker_search *s = &l->search;
    const size_t n_vector = 2 * HEADS * KEYS * RANK;
    float *normed = take(n_vector * HALF, sizeof *normed), *fold = take(KEYS * HALF, sizeof *fold);
    for (size_t i = 0; i < 2 * HEADS; i++) {
        const size_t axis = i / HEADS, head = i % HEADS;
        const float *u = (axis ? s->v.w : s->u.w) + head * RANK;
        memset(fold, 0, KEYS * HALF * sizeof *fold);
        for (size_t k = 0; k < KEYS * RANK; k++) {
            float *to = normed + (i * KEYS * RANK + k) * HALF;
            kern.best.rms_norm(to, s->keys.w + ((head * 2 + axis) * KEYS * RANK + k) * HALF,
                               s->key_norm.scale.w, HALF, s->norm_eps);
            for (size_t c = 0; c < HALF; c++) fold[k / RANK * HALF + c] += u[k % RANK] * to[c];
        }
        folded[i] = pack(fold, HALF, KEYS);
    }
    mn_bf16 *keys = narrow(normed, n_vector * HALF);
    free(normed), free(fold);
    return keys;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Keys and queries are rounded here and not there, which may change places at the end of a list of
 * nearly equal cells: so few tokens may find other rows, and the others agree up to rounding. Wrong
 * rows, weights or blocks would put every token about 1.4 off. */
static void test_memory(void **state)
{
    mn__ultramem layer;
    mn__params list = {0};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    mn__matrix folded[2 * HEADS];
    float core[CORES * HEADS * RANK * RANK], *w = make_layer(&layer, &list),
                                             *x = normals(TOKENS * WIDTH, 1);
    float *y = take(TOKENS * WIDTH, sizeof *y), *plain = take(TOKENS * WIDTH, sizeof *plain);
    double off[TOKENS];
    (void)state;
    for (size_t c = 0; c < CORES; c++)
        memcpy(core + c * HEADS * RANK * RANK, layer.search.cores[c].w,
               HEADS * RANK * RANK * sizeof *core);
    mn_bf16 *values = narrow(layer.values->w, AXIS * AXIS * VALUE), *xb = narrow(x, TOKENS * WIDTH),
            *keys = norm_keys(&layer, folded);
    const mn__step_memory l = {.width = WIDTH,
                               .n_head = HEADS,
                               .n_key = KEYS,
                               .half = HALF,
                               .rank = RANK,
                               .n_core = CORES,
                               .n_keep = KEEP,
                               .n_axis = AXIS,
                               .value_width = VALUE,
                               .n_expand = EXPAND,
                               .norm_eps = 1e-5f,
                               .query = pack(layer.search.query_proj.weight.w, WIDTH, 2 * HALF),
                               .query_gain = layer.search.query_norm.scale.w,
                               .folded = folded,
                               .keys = keys,
                               .core = core,
                               .shuffle = layer.search.shuffle,
                               .values = values,
                               .values_proj =
                                   pack(layer.values_proj.weight.w, EXPAND * VALUE, WIDTH)};
    memory_job j = {.l = &l,
                    .x = {xb, TOKENS, WIDTH},
                    .w = {.raw = take(TOKENS * 2 * HALF, sizeof(float)),
                          .query = take(TOKENS * 2 * HALF, sizeof(float)),
                          .query_bf16 = take(TOKENS * 2 * HALF, sizeof(mn_bf16)),
                          .score = take(TOKENS * 2 * HEADS * KEYS, sizeof(float)),
                          .hit = take(TOKENS * HEADS * KEEP, sizeof(mn__step_hit)),
                          .sum = take(TOKENS * EXPAND * VALUE, sizeof(mn_bf16)),
                          .scratch = take(3 * mn__step_memory_scratch(&l), sizeof(float))},
                    .y = y};
    assert_int_equal(mn__tape_reserve(&tape, 1 << 22), MN_OK);
    mn__ultramem_forward(&layer, &env, TOKENS, x, plain, NULL);
    run_on(1, run_memory, &j);
    for (size_t i = 0; i < TOKENS; i++) off[i] = distance(y + i * WIDTH, plain + i * WIDTH, WIDTH);
    qsort(off, TOKENS, sizeof *off, ascending);
    assert_true(off[TOKENS / 2] < 0.01);
    assert_true(off[TOKENS * 8 / 10] < 0.03);
    float *again = take(TOKENS * WIDTH, sizeof *again);
    j.y = again;
    run_on(3, run_memory, &j);
    assert_memory_equal(y, again, TOKENS * WIDTH * sizeof *y);
    for (size_t i = 0; i < 2 * HEADS; i++) unpack(&folded[i]);
    free((void *)l.query.panel), free((void *)l.values_proj.panel);
    free(j.w.raw), free(j.w.query), free(j.w.query_bf16), free(j.w.score), free(j.w.hit);
    free(j.w.sum), free(j.w.scratch), free(values), free(xb), free(keys), free(again);
    free(w), free(x), free(y), free(plain);
    mn__tape_fini(&tape);
    mn__params_fini(&list);
    mn__ultramem_fini(&layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiply),
        cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_memory),
    };
    const char *cpu = getenv("MN_TEST_CPU");
    mn__cpu_level level;
    if (mn__cpu_level_parse(cpu ? cpu : "auto", &level, &diag) != MN_OK) return 77;
    mn__step_kern_init(&kern, (int)level);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
