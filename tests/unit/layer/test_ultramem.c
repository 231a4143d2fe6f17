/* test_ultramem.c: both UltraMems with each of their options against differences, losses included;
 * what expansion, sharing and the sign of the pair mean; the second grid against all cells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "layer/table_layers.h"
#include "layer/topm.h"
#include "layer/tucker.h"
#include "differ.h"

/* A layer whose losses are one more output, so that differences see them: what comes back there
 * scales their coefficients. */
typedef struct fixture {
    mn__ultramem v1;
    mn__ultramem_saved saved1;
    mn__ultramem_v2 v2;
    mn__ultramem_v2_saved saved2;
    mn__value_pool pool;
    bool second;
    size_t n;
} fixture;

static mn__tucker_search *search_of(fixture *f)
{
    return f->second ? &f->v2.search : &f->v1.search;
}

static mn__tucker_saved *saved_of(fixture *f)
{
    return f->second ? &f->saved2.search : &f->saved1.search;
}

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    (void)keep; /* losses are those of training */
    if (f->second)
        mn__ultramem_v2_forward(&f->v2, env, f->n, x, y, &f->saved2);
    else
        mn__ultramem_forward(&f->v1, env, f->n, x, y, &f->saved1);
    y[f->n * search_of(f)->width] = saved_of(f)->aux;
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    mn__tucker_search *s = search_of(f);
    const double balance = s->balance, core = s->core, scale = dy[f->n * s->width];
    s->balance *= scale;
    s->core *= scale;
    if (f->second)
        mn__ultramem_v2_backward(&f->v2, env, f->n, &f->saved2, dy, dx);
    else
        mn__ultramem_backward(&f->v1, env, f->n, &f->saved1, dy, dx);
    s->balance = balance;
    s->core = core;
}

/* Lists too: the balance loss looks at them. */
static uint64_t selected(void *self)
{
    fixture *f = self;
    const mn__tucker_search *s = search_of(f);
    const mn__tdqkr_found *found = &saved_of(f)->found;
    uint64_t h = 3;
    for (size_t i = 0; i < f->n * s->n_head * s->n_keep; i++)
        h = (h ^ found->cell[i]) * 1099511628211u;
    for (size_t i = 0; i < f->n * s->n_head * 2 * found->n_list; i++)
        h = (h ^ found->list[i]) * 1099511628211u;
    return h;
}

static mn__tucker_search small(void)
{
    return (mn__tucker_search){.width = 6,
                               .n_head = 2,
                               .half = 3,
                               .rank = 2,
                               .n_core = 2,
                               .n_keep = 4,
                               .norm_eps = 1e-5,
                               .shuffle_seed = 5};
}

static void compare(fixture *f, mn__params *list, uint64_t seed)
{
    const size_t n_x = f->n * search_of(f)->width;
    const subject s = {f, n_x, n_x + 1, forward, backward, selected, 0};
    differ(&s, list, seed);
    mn__params_fini(list);
}

static void check_v1(const mn__tucker_search *search, size_t n_axis, size_t n_expand, size_t n,
                     uint64_t seed)
{
    fixture f = {.v1 = {.search = *search,
                        .value_width = 4 * search->n_core,
                        .n_axis = n_axis,
                        .n_expand = n_expand},
                 .n = n};
    mn__params list = {0};
    mn_diag diag = {""};
    if (mn__ultramem_init(&f.v1, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__ultramem_declare(&f.v1, &list, "memory");
    compare(&f, &list, seed);
    mn__ultramem_fini(&f.v1);
}

static void test_v1(void **state)
{
    mn__tucker_search s = small();
    (void)state;
    check_v1(&s, 5, 4, 9, 1);
    s.balance = 0.7;
    s.core = 0.9;
    s.core_margin = 0.05;
    s.loss_share = 0.5;
    check_v1(&s, 3, 5, 40, 2); /* 5 tables of which keys reach 4 */
    s.two_quadrant = true;
    check_v1(&s, 5, 4, 13, 3);
    s = small();
    s.rank = 3;
    s.n_core = 1;
    s.n_head = 3;
    check_v1(&s, 4, 1, 33, 4);
    s.rank = 1;
    s.n_core = 4;
    check_v1(&s, 4, 4, 7, 5);
}

static void check_v2(const mn__tucker_search *search, bool gelu, double share, size_t n,
                     uint64_t seed)
{
    fixture f = {.second = true,
                 .pool = {.n_layer = 3,
                          .n_axis = 3,
                          .value_width = 3 * search->n_core,
                          .pre_width = 5,
                          .std = 0.5},
                 .n = n};
    mn__params list = {0};
    mn_diag diag = {""};
    f.v2 = (mn__ultramem_v2){.search = *search,
                             .pool = &f.pool,
                             .i_layer = 2,
                             .share = share,
                             .key_expand = 2,
                             .gelu = gelu};
    if (mn__ultramem_v2_init(&f.v2, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__value_pool_declare(&f.pool, &list, "pool");
    mn__ultramem_v2_declare(&f.v2, &list, "memory");
    compare(&f, &list, seed);
    mn__ultramem_v2_fini(&f.v2);
}

static void test_v2(void **state)
{
    mn__tucker_search s = small();
    (void)state;
    check_v2(&s, false, 1, 9, 11);
    s.mode = MN__QUERY_PER_RANK;
    s.balance = 0.6;
    s.core = 0.4;
    check_v2(&s, true, 0.7, 37, 12);
    s.rank = 3;
    s.two_quadrant = true;
    s.n_keep = 2;
    check_v2(&s, false, 1.0 / 3, 20, 13);
}

/* Dead rows of the projection have no gradient; the live ones have that of the shared form. */
static void test_published(void **state)
{
    enum { N = 7, W = 6 };
    mn__real w[2][8192], g[2][8192] = {{0}}, u[2][64] = {{0}}, x[N * W], y[2][N * W + 1],
                         dy[N * W + 1], dx[2][N * W];
    fixture f[2];
    mn__params list[2] = {{0}};
    mn__team *team = mn__team_new(1);
    (void)state;
    for (size_t i = 0; i < N * W + 1; i++) dy[i] = (mn__real)mn__rng_normal(3, 1, i, 0);
    for (size_t i = 0; i < N * W; i++) x[i] = (mn__real)mn__rng_normal(3, 2, i, 0);
    for (size_t k = 0; k < 2; k++) {
        mn__tape tape = {.size = 1 << 20};
        const mn__env env = {.team = team, .tape = &tape};
        assert_int_equal(mn__tape_reserve(&tape, 1 << 20), MN_OK);
        f[k] = (fixture){
            .second = true,
            .pool = {.n_layer = 2, .n_axis = 4, .value_width = 4, .pre_width = 3, .std = 1},
            .n = N};
        f[k].v2 =
            (mn__ultramem_v2){.search = small(), .pool = &f[k].pool, .share = 1, .key_expand = 1};
        f[k].v2.search.mode = k ? MN__QUERY_PUBLISHED : MN__QUERY_SHARED;
        assert_int_equal(mn__ultramem_v2_init(&f[k].v2, NULL), MN_OK);
        mn__value_pool_declare(&f[k].pool, &list[k], "pool");
        mn__ultramem_v2_declare(&f[k].v2, &list[k], "m");
        assert_true(mn__params_size(&list[k], false) <= 8192);
        mn__params_bind(&list[k], w[k], g[k], u[k]);
        mn__params_fill(&list[k], team, 9);
        forward(&f[k], &env, x, y[k], true);
        backward(&f[k], &env, dy, dx[k]);
        mn__tape_fini(&tape);
    }
    const mn__dense *shared = &f[0].v2.search.query_proj, *dead = &f[1].v2.search.query_proj;
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
    assert_int_equal(dead->n_out, 2 * shared->n_out);
    assert_memory_equal(shared->weight.g, dead->weight.g, shared->n_out * W * sizeof(mn__real));
    for (size_t i = shared->n_out * W; i < dead->n_out * W; i++)
        assert_true(dead->weight.g[i] == 0 && dead->weight.w[i] != 0);
    for (size_t k = 0; k < 2; k++) {
        mn__ultramem_v2_fini(&f[k].v2);
        mn__params_fini(&list[k]);
    }
    mn__team_free(team);
}

/* ---- what it means ---- */

enum { N = 12, WIDTH = 6, PARAMS = 1 << 15 };

typedef struct model {
    mn__ultramem l;
    mn__ultramem_saved saved;
    mn__params list;
    mn__real w[PARAMS], g[PARAMS], state[256], x[N * WIDTH], y[N * WIDTH], dx[N * WIDTH];
    mn__tape tape;
} model;

static void make(model *m, const mn__tucker_search *s, size_t n_axis, size_t n_expand)
{
    *m = (model){.l = {.search = *s, .value_width = 4, .n_axis = n_axis, .n_expand = n_expand}};
    assert_int_equal(mn__ultramem_init(&m->l, NULL), MN_OK);
    mn__ultramem_declare(&m->l, &m->list, "m");
    assert_true(mn__params_size(&m->list, false) <= PARAMS);
    mn__params_bind(&m->list, m->w, m->g, m->state);
    mn__params_fill(&m->list, NULL, 4);
    for (size_t i = 0; i < N * WIDTH; i++) m->x[i] = (mn__real)mn__rng_normal(8, 1, i, 0);
    assert_int_equal(mn__tape_reserve(&m->tape, 1 << 20), MN_OK);
}

static void run(model *m)
{
    const mn__env env = {.tape = &m->tape};
    mn__tape_cut(&m->tape, 0);
    mn__ultramem_forward(&m->l, &env, N, m->x, m->y, &m->saved);
}

static void drop(model *m)
{
    mn__ultramem_fini(&m->l);
    mn__params_fini(&m->list);
    mn__tape_fini(&m->tape);
    free(m);
}

static model *new_model(void)
{
    model *m = malloc(sizeof *m);
    assert_non_null(m);
    return m;
}

/* One physical table behind E blocks of W_v is E tables V W_p'. */
static void test_expansion(void **state)
{
    model *m = new_model();
    const mn__tucker_search s = small();
    (void)state;
    make(m, &s, 5, 4);
    run(m);
    const size_t n_hit = s.n_head * s.n_keep, n_row = 25;
    for (size_t t = 0; t < N; t++)
        for (size_t o = 0; o < WIDTH; o++) {
            double sum = 0;
            for (size_t l = t * n_hit; l < (t + 1) * n_hit; l++) {
                size_t row = m->saved.search.address[l] % n_row,
                       block = m->saved.search.address[l] / n_row;
                for (size_t c = 0; c < 4; c++)
                    sum += m->saved.search.found.weight[l * 2 + c / 2] *
                           m->l.values->w[row * 4 + c] *
                           m->l.values_proj.weight.w[o * 16 + block * 4 + c];
            }
            assert_true(fabs(sum - m->y[t * WIDTH + o]) < 1e-12 * (1 + fabs(sum)));
        }
    drop(m);
}

/* Rows of the table in another order, and addresses that follow them: nothing changes. */
static void test_shuffle(void **state)
{
    model *m = new_model();
    const mn__tucker_search s = small();
    mn__real before[N * WIDTH], table[25 * 4];
    size_t to[25];
    (void)state;
    make(m, &s, 5, 4);
    for (size_t i = 0; i < 100; i++) { /* a permutation, and no identity */
        bool seen = false;
        for (size_t j = 0; j < 100; j++) seen |= m->l.search.shuffle[j] == i;
        assert_true(seen);
    }
    run(m);
    memcpy(before, m->y, sizeof before);
    memcpy(table, m->l.values->w, sizeof table);
    for (size_t r = 0; r < 25; r++) {
        to[r] = (r * 7 + 3) % 25;
        memcpy(m->l.values->w + to[r] * 4, table + r * 4, 4 * sizeof *table);
    }
    for (size_t i = 0; i < 100; i++) {
        uint32_t at = m->l.search.shuffle[i];
        m->l.search.shuffle[i] = (uint32_t)(at / 25 * 25 + to[at % 25]);
    }
    run(m);
    for (size_t i = 0; i < N * WIDTH; i++) assert_true(fabs(before[i] - m->y[i]) < 1e-12);
    drop(m);
}

/* Turned by its sign, the pair lists the other end of all keys. */
static void test_sign(void **state)
{
    model *m = new_model();
    const mn__tucker_search s = small();
    uint32_t before[N * 2 * 2 * 4];
    (void)state;
    make(m, &s, 8, 1);
    run(m);
    memcpy(before, m->saved.search.found.list, sizeof before);
    for (size_t i = 0; i < 4; i++) {
        m->l.search.u.w[i] = -m->l.search.u.w[i];
        m->l.search.v.w[i] = -m->l.search.v.w[i];
    }
    run(m);
    for (size_t i = 0; i < sizeof before / sizeof *before; i += 4)
        for (size_t j = 0; j < 16; j++)
            assert_true(before[i + j / 4] != m->saved.search.found.list[i + j % 4]);
    drop(m);
}

/* Share of the kept cells that are among the best of all. */
static double recall(const model *m, const mn__tucker_search *s, size_t n_key)
{
    mn__real *all = malloc(n_key * n_key * sizeof *all), value[64], work[64];
    uint32_t best[64];
    size_t n_found = 0;
    assert_non_null(all);
    const mn__tucker_search *l = &m->l.search;
    for (size_t i = 0; i < N * s->n_head; i++) {
        size_t h = i % s->n_head;
        const mn__real *q = m->saved.search.query + i / s->n_head * 2 * s->half;
        for (size_t c = 0; c < n_key * n_key; c++) {
            mn__real row[2] = {0}, col[2] = {0};
            for (size_t k = 0; k < 2 * s->half; k++) {
                size_t r = k / s->half, d = k % s->half;
                row[r] +=
                    q[d] * m->saved.search.key[((h * 2 * n_key + c / n_key) * 2 + r) * s->half + d];
                col[r] +=
                    q[s->half + d] *
                    m->saved.search.key[(((h * 2 + 1) * n_key + c % n_key) * 2 + r) * s->half + d];
            }
            all[c] = 0;
            for (size_t k = 0; k < 8; k++)
                all[c] += row[k / 2 % 2] * l->cores[k / 4].w[h * 4 + k % 4] * col[k % 2];
        }
        mn__topm(all, n_key * n_key, s->n_keep, best, value, work);
        for (size_t k = 0; k < s->n_keep * s->n_keep; k++)
            n_found +=
                m->saved.search.found.cell[i * s->n_keep + k % s->n_keep] == best[k / s->n_keep];
    }
    free(all);
    return (double)n_found / (double)(N * s->n_head * s->n_keep);
}

/* Random keys: one grid misses the cells of two negative factors, two grids find all but those
 * that the rank-one scores misjudge. */
static void test_two_quadrants(void **state)
{
    mn__tucker_search s = small();
    (void)state;
    s.half = 16;
    s.n_keep = 12;
    double found[2];
    for (size_t k = 0; k < 2; k++) {
        model *m = new_model();
        s.two_quadrant = k;
        make(m, &s, 40, 1);
        assert_true(m->l.search.n_key == 40);
        run(m);
        found[k] = recall(m, &s, 40);
        drop(m);
    }
    assert_true(found[0] < 0.85);
    assert_true(found[1] > 0.95 && found[1] > found[0]);
}

static void test_first_values(void **state)
{
    mn__tucker_search s = {.width = 768, .half = 192, .n_keep = 32, .n_head = 1};
    const mn__value_pool pool = {.value_width = 192, .pre_width = 192};
    (void)state;
    mn__ultramem_paper_gains(&s);
    assert_true(fabs(s.key_gain - 1 / sqrt(192)) < 1e-12);
    /* the mean of the best 32 of 1024 normals: 2.2524 by phi(z)/p with p = 1/32 */
    assert_true(fabs(1 / (s.query_gain * s.query_gain) - 2.2524) < 2e-4);
    assert_true(fabs(mn__ultramem_v2_std(&pool, 2496, 20, 32) - 0.068) < 5e-4);
}

static void test_refused(void **state)
{
    mn_diag diag = {""};
    mn__ultramem l = {.search = small(), .value_width = 5, .n_axis = 3, .n_expand = 4};
    (void)state;
    assert_int_equal(mn__ultramem_init(&l, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "multiple of the 2 cores"));
    l.value_width = 4;
    l.search.n_keep = 7;
    assert_int_equal(mn__ultramem_init(&l, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "at most 6 of 6 keys"));
    l.search.n_keep = 4;
    l.search.two_quadrant = true;
    assert_int_equal(mn__ultramem_init(&l, &diag), MN_ERANGE);
    l.search.two_quadrant = false;
    l.search.rank = 17;
    assert_int_equal(mn__ultramem_init(&l, &diag), MN_ERANGE);
    mn__value_pool pool = {.n_layer = 2, .n_axis = 3, .value_width = 4, .pre_width = 2};
    mn__ultramem_v2 v2 = {.search = small(), .pool = &pool, .share = 1.5, .key_expand = 2};
    assert_int_equal(mn__ultramem_v2_init(&v2, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "mem_share_ratio"));
    v2.share = 0.5;
    v2.i_layer = 2;
    assert_int_equal(mn__ultramem_v2_init(&v2, &diag), MN_ERANGE);
    v2.i_layer = 1;
    assert_int_equal(mn__ultramem_v2_init(&v2, &diag), MN_OK);
    assert_int_equal(v2.n_window, 9); /* a share of 1/2 is its own rows */
    mn__ultramem_v2_fini(&v2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_two_quadrants),
        cmocka_unit_test(test_first_values),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
