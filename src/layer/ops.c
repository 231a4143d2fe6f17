/* ops.c: products by oneDNN in float, by plain loops in double and where they are small; blocks are
 * of one shape whatever the number of threads, and so is the order of sums. */
#include "layer/ops.h"

#include <string.h>
#include "layer/half.h"

#include "tensor/sgemm.h"

enum { ROWS = 32, MANY_ROWS = 128, ADD_GRAIN = 1 << 14, COLUMN_GRAIN = 64 };
/* Multiply-adds from which on a product is worth a call, and a block of it more rows. */
enum { SGEMM_LEAST = 1 << 14, MANY_LEAST = 1 << 22 };

/* By the library; false: not done. */
static bool by_sgemm(const mn__mm *p, bool turn_a, bool turn_b)
{
#ifndef MN_REAL_DOUBLE
    if (p->m * p->n * p->k < SGEMM_LEAST) return false;
    return mn__sgemm_run(&(mn__sgemm){.m = p->m,
                                      .n = p->n,
                                      .k = p->k,
                                      .a = p->a,
                                      .b = p->b,
                                      .c = p->c,
                                      .ld_a = p->ld_a,
                                      .ld_b = p->ld_b,
                                      .ld_c = p->ld_c,
                                      .turn_a = turn_a,
                                      .turn_b = turn_b,
                                      .add = p->add});
#else
    (void)p;
    (void)turn_a;
    (void)turn_b;
    return false;
#endif
}

void mn__axpy(mn__real *y, mn__real a, const mn__real *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* Sums side by side: a compiler may not reorder one. */
mn__real mn__dot(const mn__real *x, const mn__real *y, size_t n)
{
    mn__real s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) s[j] += x[i + j] * y[i + j];
    for (; i < n; i++) s[0] += x[i] * y[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static mn__mm rows_of(const mn__mm *p, size_t begin, size_t end)
{
    mn__mm part = *p;
    part.m = end - begin;
    part.a += begin * p->ld_a;
    part.c += begin * p->ld_c;
    return part;
}

void mn__mm_nt(const mn__mm *p)
{
    for (size_t i = 0; p->alone && p->m > 1 && i < p->m; i++) {
        const mn__mm row = rows_of(p, i, i + 1);
        mn__mm_nt(&row);
    }
    if (p->alone && p->m > 1) return;
    if (mn__half_tile(p, false, true) || by_sgemm(p, false, true)) return;
    for (size_t i = 0; i < p->m; i++) {
        mn__real *c = p->c + i * p->ld_c;
        for (size_t j = 0; j < p->n; j++) {
            mn__real x = mn__dot(p->a + i * p->ld_a, p->b + j * p->ld_b, p->k);
            c[j] = p->add ? c[j] + x : x;
        }
    }
}

void mn__mm_nn(const mn__mm *p)
{
    if (mn__half_tile(p, false, false) || by_sgemm(p, false, false)) return;
    for (size_t i = 0; i < p->m; i++) {
        mn__real *c = p->c + i * p->ld_c;
        if (!p->add) memset(c, 0, p->n * sizeof *c);
        for (size_t j = 0; j < p->k; j++)
            mn__axpy(c, p->a[i * p->ld_a + j], p->b + j * p->ld_b, p->n);
    }
}

void mn__mm_tn(const mn__mm *p)
{
    if (mn__half_tile(p, true, false) || by_sgemm(p, true, false)) return;
    for (size_t i = 0; i < p->m && !p->add; i++) memset(p->c + i * p->ld_c, 0, p->n * sizeof *p->c);
    for (size_t j = 0; j < p->k; j++)
        for (size_t i = 0; i < p->m; i++)
            mn__axpy(p->c + i * p->ld_c, p->a[j * p->ld_a + i], p->b + j * p->ld_b, p->n);
}

/* Those split over threads are all with parameters; tiles are counted by who asks for them. */
static void count(const mn__env *env, const mn__mm *p)
{
    mn__count(env, MN__WORK_WEIGHTS, (double)p->m * (double)p->n * (double)p->k);
}

static size_t grain_of(const mn__mm *p)
{
    return p->m * p->n * p->k < MANY_LEAST ? ROWS : MANY_ROWS;
}

static void run_nt(void *arg, size_t begin, size_t end, int thread)
{
    mn__mm part = rows_of(arg, begin, end);
    (void)thread;
    mn__mm_nt(&part);
}

static void run_nn(void *arg, size_t begin, size_t end, int thread)
{
    mn__mm part = rows_of(arg, begin, end);
    (void)thread;
    mn__mm_nn(&part);
}

static void run_tn(void *arg, size_t begin, size_t end, int thread)
{
    mn__mm part = *(const mn__mm *)arg;
    (void)thread;
    part.m = end - begin;
    part.a += begin;
    part.c += begin * part.ld_c;
    mn__mm_tn(&part);
}

void mn__each_mm_nt(const mn__env *env, const mn__mm *p)
{
    mn__mm all = *p;
    count(env, p);
    if (mn__half_takes(env, p))
        mn__half_mm(env, p, false, true);
    else
        mn__each(env, p->m, grain_of(p), run_nt, &all);
}

void mn__each_mm_nn(const mn__env *env, const mn__mm *p)
{
    mn__mm all = *p;
    count(env, p);
    if (mn__half_takes(env, p))
        mn__half_mm(env, p, false, false);
    else
        mn__each(env, p->m, grain_of(p), run_nn, &all);
}

void mn__each_mm_tn(const mn__env *env, const mn__mm *p)
{
    mn__mm all = *p;
    count(env, p);
    if (mn__half_takes(env, p))
        mn__half_mm(env, p, true, false);
    else
        mn__each(env, p->m, grain_of(p), run_tn, &all);
}

typedef struct addition {
    mn__real *out;
    const mn__real *x;
    size_t n, ld;
} addition;

static void add_range(void *arg, size_t begin, size_t end, int thread)
{
    const addition *a = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) a->out[i] += a->x[i];
}

void mn__each_add(const mn__env *env, mn__real *y, const mn__real *x, size_t n)
{
    addition a = {.out = y, .x = x};
    mn__each(env, n, ADD_GRAIN, add_range, &a);
}

static void add_columns(void *arg, size_t begin, size_t end, int thread)
{
    const addition *a = arg;
    (void)thread;
    for (size_t r = 0; r < a->n; r++)
        for (size_t c = begin; c < end; c++) a->out[c] += a->x[r * a->ld + c];
}

void mn__each_add_rows(const mn__env *env, mn__real *out, const mn__real *x, size_t ld, size_t n,
                       size_t width)
{
    addition a = {out, x, n, ld};
    mn__each(env, width, COLUMN_GRAIN, add_columns, &a);
}
