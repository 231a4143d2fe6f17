/* test_pkm.c: product-key memories with each of their options against differences; the kept cells
 * against all there are; what cannot be is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "layer/table_layers.h"
#include "layer/topm.h"
#include "socket.h"

static uint64_t hash(const mn__product_key_found *f, size_t n)
{
    uint64_t h = 7;
    for (size_t i = 0; i < n; i++) h = (h ^ f->cell[i]) * 1099511628211u;
    return h;
}

static uint64_t pkm_selected(void *self)
{
    const socket *s = self;
    const mn__pkm_face *f = (const mn__pkm_face *)s->layer;
    return hash(&f->saved.found, s->s.n_seq * s->s.len * f->self.n_head * f->self.n_keep);
}

static uint64_t plus_selected(void *self)
{
    const socket *s = self;
    const mn__memory_plus_face *f = (const mn__memory_plus_face *)s->layer;
    const mn__pkm *m = &f->self.memory;
    return hash(&f->saved.memory.found, s->s.n_seq * s->s.len * m->n_head * m->n_keep);
}

static mn__pkm small(void)
{
    return (mn__pkm){.width = 7,
                     .value_width = 5,
                     .n_head = 2,
                     .n_key = 9,
                     .half = 3,
                     .n_keep = 4,
                     .norm_eps = 1e-5};
}

static void check_pkm(mn__pkm l, size_t n, uint64_t seed)
{
    mn__pkm_face f = {.self = l};
    mn_diag diag = {""};
    assert_int_equal(mn__pkm_check(&f.self, &diag), MN_OK);
    mn__pkm_face_init(&f);
    socket s = {&f.layer, {1, n}, pkm_selected};
    socket_differ(&s, seed);
}

static void test_pkm(void **state)
{
    mn__pkm l = small();
    (void)state;
    l.query_bias = true;
    check_pkm(l, 11, 1);
    l.norm = MN__PKM_RMS;
    l.norm_keys = true;
    check_pkm(l, 70, 2);
    l.n_head = 1;
    l.n_keep = 9; /* every key is listed */
    l.half = 1;
    l.norm = MN__PKM_RAW;
    l.norm_keys = false;
    check_pkm(l, 5, 3);
    l = small();
    l.peer = l.as_meta = true;
    l.n_keep = 3;
    check_pkm(l, 23, 4);
}

static void check_plus(mn__memory_plus l, size_t n, uint64_t seed)
{
    mn__memory_plus_face f = {.self = l};
    mn_diag diag = {""};
    assert_int_equal(mn__memory_plus_check(&f.self, &diag), MN_OK);
    mn__memory_plus_face_init(&f);
    socket s = {&f.layer, {1, n}, plus_selected};
    socket_differ(&s, seed);
}

static void test_memory_plus(void **state)
{
    mn__memory_plus l = {.memory = small(), .swilu = true, .gate = true, .bias = true};
    (void)state;
    check_plus(l, 13, 11);
    l.gate = l.bias = false;
    l.memory.norm = MN__PKM_RMS;
    check_plus(l, 13, 12);
    l.swilu = false;
    l.project = true;
    check_plus(l, 13, 13);
    l.project = false;
    l.gate = true;
    l.memory.value_width = 7;
    check_plus(l, 13, 14);
    l.gate = false;
    l.memory.peer = true;
    check_plus(l, 13, 15);
}

/* Kept cells are the best of all n_key^2, ties to the smaller cell of the lists. */
typedef struct search {
    mn__product_key k;
    size_t n;
    mn__real *query;
    mn__product_key_found found;
} search;

static void run_search(const mn__env *env, void *arg)
{
    search *s = arg;
    mn__product_key_forward(&s->k, env, s->n, s->query, &s->found);
}

static void test_exact(void **state)
{
    enum { KEYS = 20, HALF = 3, KEEP = 20, TOKENS = 40 };
    static mn__real key[2 * KEYS * HALF], query[TOKENS * 2 * HALF], all[KEYS * KEYS];
    (void)state;
    for (size_t keep = 1; keep <= KEEP; keep += 3) {
        mn__tape tape = {0};
        const mn__env env = {.tape = &tape};
        search s = {{1, KEYS, HALF, keep, key}, TOKENS, query, {0}};
        for (size_t i = 0; i < 2 * KEYS * HALF; i++) key[i] = (mn__real)mn__rng_normal(1, 2, i, 0);
        for (size_t i = 0; i < TOKENS * 2 * HALF; i++)
            query[i] = (mn__real)mn__rng_normal(1, 3, i, 0);
        assert_int_equal(mn__env_plan(&env, run_search, &s, NULL), MN_OK);
        run_search(&env, &s);
        for (size_t t = 0; t < TOKENS; t++) {
            const mn__real *q = query + t * 2 * HALF;
            uint32_t best[KEEP];
            mn__real value[KEEP], work[KEEP];
            for (size_t c = 0; c < KEYS * KEYS; c++) {
                all[c] = 0;
                for (size_t i = 0; i < HALF; i++)
                    all[c] += key[c / KEYS * HALF + i] * q[i] +
                              key[(KEYS + c % KEYS) * HALF + i] * q[HALF + i];
            }
            mn__topm(all, KEYS * KEYS, keep, best, value, work);
            for (size_t l = 0; l < keep; l++) assert_int_equal(s.found.cell[t * keep + l], best[l]);
        }
        mn__tape_fini(&tape);
    }
}

static void test_refused(void **state)
{
    mn__memory_plus l = {.memory = small()};
    mn_diag diag = {""};
    (void)state;
    assert_int_equal(mn__memory_plus_check(&l, &diag), MN_ERANGE); /* nothing brings 5 to 7 */
    assert_non_null(strstr(diag.text, "width 7 wanted, 5 found"));
    l.memory.n_keep = 10;
    assert_int_equal(mn__pkm_check(&l.memory, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "knn: at most the 9 keys"));
    l.memory.n_keep = 0;
    assert_int_equal(mn__pkm_check(&l.memory, &diag), MN_ERANGE);
}

/* Training always: at inference the running statistics take the batch's place. */
typedef struct norm {
    mn__batch_norm l;
    mn__batch_norm_saved saved;
    size_t n;
} norm;

static void norm_forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    norm *f = self;
    (void)keep;
    mn__batch_norm_forward(&f->l, env, f->n, x, y, &f->saved);
}

static void norm_backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    norm *f = self;
    mn__batch_norm_backward(&f->l, env, f->n, &f->saved, dy, dx);
}

static void test_batch_norm(void **state)
{
    (void)state;
    for (size_t n = 3; n < 90; n += 43) {
        norm f = {.l = {.width = 19, .eps = 1e-5, .momentum = 0.1}, .n = n};
        mn__params list = {0};
        mn__batch_norm_declare(&f.l, &list, "norm");
        const subject s = {&f, n * 19, n * 19, norm_forward, norm_backward, NULL, 0};
        differ(&s, &list, n);
        mn__params_fini(&list);
    }
}

/* At inference y = g (x - mean) / sqrt(var + eps) + b with the running ones. */
static void test_running(void **state)
{
    mn__real g[1] = {2}, b[1] = {3}, mean[1] = {5}, var[1] = {4}, x[2] = {7, 1}, y[2];
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.tape = &tape};
    const mn__batch_norm l = {
        .width = 1, .scale = {.w = g}, .shift = {.w = b}, .mean = {.w = mean}, .var = {.w = var}};
    (void)state;
    mn__batch_norm_forward(&l, &env, 2, x, y, NULL);
    assert_true(y[0] == 5 && y[1] == -1);
    assert_true(mean[0] == 5 && var[0] == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pkm),        cmocka_unit_test(test_memory_plus),
        cmocka_unit_test(test_exact),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_batch_norm), cmocka_unit_test(test_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
