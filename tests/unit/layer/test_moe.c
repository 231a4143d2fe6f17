/* test_moe.c: mixtures of experts against differences, losses included; against a plain sum over
 * experts; none of the tokens is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "layer/part.h"
#include "layer/table_layers.h"
#include "socket.h"

typedef struct fixture {
    mn__moe l;
    mn__moe_saved saved;
    size_t n;
} fixture;

/* The losses are one more output. */
static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    (void)keep;
    mn__moe_forward(&f->l, env, f->n, x, y, &f->saved);
    y[f->n * f->l.width] = f->saved.balance + f->saved.z;
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    const double balance = f->l.balance, z = f->l.z;
    f->l.balance *= dy[f->n * f->l.width];
    f->l.z *= dy[f->n * f->l.width];
    mn__moe_backward(&f->l, env, f->n, &f->saved, dy, dx);
    f->l.balance = balance;
    f->l.z = z;
}

static uint64_t selected(void *self)
{
    const fixture *f = self;
    uint64_t h = 3;
    for (size_t i = 0; i < f->n * f->l.n_keep; i++) h = (h ^ f->saved.expert[i]) * 1099511628211u;
    return h;
}

static void check(mn__moe l, size_t n, uint64_t seed)
{
    fixture f = {.l = l, .n = n};
    mn__params list = {0};
    mn_diag diag = {""};
    assert_int_equal(mn__moe_check(&f.l, &diag), MN_OK);
    mn__moe_declare(&f.l, &list, "moe");
    const subject s = {&f, n * l.width, n * l.width + 1, forward, backward, selected, 0};
    differ(&s, &list, seed);
    mn__params_fini(&list);
}

static mn__moe small(void)
{
    return (mn__moe){.width = 5,
                     .inner = 7,
                     .n_expert = 4,
                     .n_keep = 2,
                     .balance = 0.8,
                     .z = 0.3,
                     .n_layer = 3,
                     .n_block = 3,
                     .std = 0.5};
}

static void test_differences(void **state)
{
    mn__moe l = small();
    (void)state;
    check(l, 12, 1);
    l.renormalise = true;
    l.loss_share = 0.25;
    check(l, 90, 2); /* more than a tile of tokens an expert */
    l.gelu = true;
    l.renormalise = false;
    check(l, 33, 3);
    l.n_keep = 4;
    l.balance = l.z = 0;
    check(l, 9, 4);
}

/* Behind the face, where inference keeps nothing. */
static uint64_t face_selected(void *self)
{
    const socket *s = self;
    const mn__moe_face *f = (const mn__moe_face *)s->layer;
    uint64_t h = 3;
    for (size_t i = 0; i < s->s.n_seq * s->s.len * f->self.n_keep; i++)
        h = (h ^ f->saved.expert[i]) * 1099511628211u;
    return h;
}

static void test_face(void **state)
{
    mn__moe_face f = {.self = small()};
    (void)state;
    f.self.balance = f.self.z = 0;
    mn__moe_face_init(&f);
    socket s = {&f.layer, {2, 11}, face_selected};
    socket_differ(&s, 5);
}

/* All tokens alike go to the same experts, every one of them. */
static void test_none_dropped(void **state)
{
    enum { N = 100, PARAMS = 2048 };
    static mn__real w[PARAMS], x[N * 5], y[N * 5];
    mn__moe l = small();
    mn__moe_saved saved;
    mn__params list = {0};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    (void)state;
    mn__moe_declare(&l, &list, "moe");
    assert_true(mn__params_size(&list, false) <= PARAMS);
    mn__params_bind(&list, w, NULL, NULL);
    mn__params_fill(&list, NULL, 3);
    for (size_t i = 0; i < N * 5; i++) x[i] = (mn__real)mn__rng_normal(1, 1, i % 5, 0);
    assert_int_equal(mn__tape_reserve(&tape, 1 << 20), MN_OK);
    mn__moe_forward(&l, &env, N, x, y, &saved);
    assert_int_equal(saved.by_expert.n_row, 2);
    for (size_t e = 0; e < 2; e++) assert_int_equal(saved.count[saved.expert[e]], N);
    for (size_t o = 0; o < 5; o++) {
        mn__real sum = 0;
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < 7; i++) {
                size_t row = (saved.expert[k] * 7 + i) * 5;
                mn__real a = 0, b = 0;
                for (size_t c = 0; c < 5; c++) {
                    a += l.w1.w[row + c] * x[c];
                    b += l.v1.w[row + c] * x[c];
                }
                sum += saved.prob[saved.expert[k]] * mn__silu(a) * b * l.w2.w[row + o];
            }
        for (size_t t = 0; t < N; t++) assert_true(fabs(y[t * 5 + o] - sum) < 1e-12);
    }
    mn__params_fini(&list);
    mn__tape_fini(&tape);
}

/* Two passes of half the losses each are one of all. */
static void test_loss_share(void **state)
{
    enum { N = 8, PARAMS = 2048 };
    static mn__real w[PARAMS], g[2][PARAMS], x[N * 5], y[N * 5], dx[2][N * 5];
    const mn__real dy[N * 5] = {0};
    double aux[2];
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        mn__moe_face f = {.self = small()};
        mn__params list = {0};
        mn__tape tape = {0};
        const mn__env env = {.tape = &tape};
        mn__moe_face_init(&f);
        f.layer.ops->declare(&f.layer, &list, "moe");
        mn__params_bind(&list, w, g[k], NULL);
        mn__params_fill(&list, NULL, 3);
        for (size_t i = 0; i < N * 5; i++) x[i] = (mn__real)mn__rng_normal(1, 1, i, 0);
        assert_int_equal(mn__tape_reserve(&tape, 1 << 20), MN_OK);
        if (k) mn__table_layer_loss_share(&f.layer, 0.5);
        for (size_t i = 0; i <= k; i++) {
            f.layer.ops->forward(&f.layer, &env, (mn__shape){1, N}, x, y, true);
            f.layer.ops->backward(&f.layer, &env, (mn__shape){1, N}, dy, dx[k]);
        }
        aux[k] = f.layer.aux;
        mn__params_fini(&list);
        mn__tape_fini(&tape);
    }
    assert_true(aux[0] > 0 && fabs(aux[0] - 2 * aux[1]) < 1e-12);
    for (size_t i = 0; i < PARAMS; i++) assert_true(fabs(g[0][i] - g[1][i]) < 1e-12);
    for (size_t i = 0; i < N * 5; i++) assert_true(fabs(dx[0][i] - 2 * dx[1][i]) < 1e-12);
}

static void test_refused(void **state)
{
    mn__moe l = small();
    mn_diag diag = {""};
    (void)state;
    l.n_keep = 5;
    assert_int_equal(mn__moe_check(&l, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "1 to 4 wanted, 5 found"));
    l.n_keep = 1;
    l.inner = 0;
    assert_int_equal(mn__moe_check(&l, &diag), MN_ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),  cmocka_unit_test(test_face),
        cmocka_unit_test(test_none_dropped), cmocka_unit_test(test_loss_share),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
