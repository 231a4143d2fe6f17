/* attend.c: attention as a subject. */
#include "attend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

static size_t width(const attend *a)
{
    return (a->heads.n_head + 2 * a->heads.n_kv) * a->heads.dim;
}

static size_t rows(const attend *a)
{
    return a->s.n_seq * a->s.len;
}

static void turn(const attend *a, const mn__env *env, mn__real *x, bool back)
{
    const mn__turn t = {a->heads.n_head + a->heads.n_kv, a->heads.dim, width(a), x, back};
    mn__rotary_turn(&a->rotary, env, a->s, a->table, &t);
}

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    attend *a = self;
    a->table = mn__rotary_table(&a->rotary, env, a->s.len);
    a->packed = mn__take_reals(env, rows(a) * width(a));
    if (!mn__env_is_dry(env)) memcpy(a->packed, x, rows(a) * width(a) * sizeof *x);
    turn(a, env, a->packed, false);
    const size_t n_q = a->heads.n_head * a->heads.dim, n_k = a->heads.n_kv * a->heads.dim;
    const mn__qkv in = {
        .q = a->packed, .k = a->packed + n_q, .v = a->packed + n_q + n_k, .ld = width(a)};
    a->forward(a->core, env, a->s, &in, y, keep ? a->saved : NULL);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    attend *a = self;
    const size_t n_q = a->heads.n_head * a->heads.dim, n_k = a->heads.n_kv * a->heads.dim;
    const mn__qkv_grad out = {dx, dx + n_q, dx + n_q + n_k};
    a->backward(a->core, env, a->s, a->saved, dy, &out);
    turn(a, env, dx, true);
}

void attend_differ(attend *a, const mn__params *list, double x_scale, uint64_t seed)
{
    const subject s = {a,       rows(a) * width(a), rows(a) * a->heads.n_head * a->heads.dim,
                       forward, backward,           NULL,
                       x_scale};
    differ(&s, list, seed);
}

typedef struct once {
    attend *a;
    const mn__real *x;
    mn__real *y;
} once;

static void pass(const mn__env *env, void *arg)
{
    const once *o = arg;
    forward(o->a, env, o->x, o->y, false);
}

void attend_run(attend *a, const mn__real *x, mn__real *y)
{
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    once o = {a, x, y};
    assert_int_equal(mn__env_plan(&env, pass, &o, NULL), MN_OK);
    pass(&env, &o);
    mn__tape_fini(&tape);
}

void attend_causal(attend *a, size_t at, uint64_t seed)
{
    const size_t n_x = rows(a) * width(a), n_out = a->heads.n_head * a->heads.dim;
    mn__real *x = calloc(n_x, sizeof *x), *y = calloc(rows(a) * n_out, sizeof *y),
             *z = calloc(rows(a) * n_out, sizeof *z);
    assert_true(x && y && z);
    for (size_t i = 0; i < n_x; i++) x[i] = mn__rng_normal(seed, 7, i, 0);
    attend_run(a, x, y);
    for (size_t i = 0; i < n_x; i++)
        if (i / width(a) % a->s.len == at) x[i] = 3 * mn__rng_normal(seed, 8, i, 0);
    attend_run(a, x, z);
    bool moved = false;
    for (size_t r = 0; r < rows(a); r++) {
        bool same = memcmp(y + r * n_out, z + r * n_out, n_out * sizeof *y) == 0;
        if (r % a->s.len < at && !same) fail_msg("row %zu sees position %zu behind it", r, at);
        moved = moved || (r % a->s.len > at && !same);
    }
    assert_true(moved);
    free(x);
    free(y);
    free(z);
}
