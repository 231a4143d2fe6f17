/* linear_wide.c: prefill in f32, for levels without bf16. Blocks are of one shape whatever the
 * number of threads. */
#ifndef MN_REF_PRODUCT
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#endif
#include "base/cpu.h"
#include "tensor/linear_internal.h"
#include "tensor/sgemm.h"

enum { N_COL = 32, N_ROW = 128 };

#ifndef MN_REF_PRODUCT
static void limit_to_avx2(void)
{
    dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
}

static void limit_to_avx512(void)
{
    dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core);
}

/* oneDNN takes a limit only before its first product: the first level in a process decides. */
static void limit_isa(int level)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (level > MN__CPU_REF)
        pthread_once(&once, level == MN__CPU_AVX2 ? limit_to_avx2 : limit_to_avx512);
}

static void begin(mn__work *work)
{
    limit_isa(work->kern->level);
}
#else
static void begin(mn__work *work)
{
    (void)work;
}
#endif

static void end(mn__work *work)
{
    (void)work;
}

/* All of them: a panel is widened once. */
static size_t pass_rows(const mn__weight *w)
{
    (void)w;
    return SIZE_MAX;
}

static void prepare(mn__work *work, const mn__weight *w, size_t col, int slot)
{
    size_t rest = w->n_out - col;
    mn__weight_widen(w, col, rest < N_COL ? rest : N_COL,
                     work->space.wide + (size_t)slot * N_COL * w->n_in, w->n_in);
}

static void multiply_plainly(const float *a, size_t ld_a, size_t n_row, const float *b,
                             size_t n_col, size_t k, float *c)
{
    for (size_t r = 0; r < n_row; r++)
        for (size_t j = 0; j < n_col; j++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++) sum += (double)a[r * ld_a + i] * b[j * k + i];
            c[r * N_COL + j] = (float)sum;
        }
}

static void fill(mn__work *work, const mn__weight *w, size_t col, int slot, size_t row,
                 size_t n_row, float *c)
{
    const float *a = work->x->f32 + row * work->x->ld,
                *b = work->space.wide + (size_t)slot * N_COL * w->n_in;
    size_t rest = w->n_out - col, n_col = rest < N_COL ? rest : N_COL;
    const mn__sgemm product = {.m = n_row,
                               .n = n_col,
                               .k = w->n_in,
                               .a = a,
                               .b = b,
                               .c = c,
                               .ld_a = work->x->ld,
                               .ld_b = w->n_in,
                               .ld_c = N_COL,
                               .turn_b = true};
    if (work->kern->level > MN__CPU_REF && mn__sgemm_run(&product)) return;
    multiply_plainly(a, work->x->ld, n_row, b, n_col, w->n_in, c);
}

const mn__backend mn__backend_wide = {
    .n_col = N_COL,
    .n_row = N_ROW,
    .pass_rows = pass_rows,
    .begin = begin,
    .end = end,
    .prepare = prepare,
    .fill = fill,
};
