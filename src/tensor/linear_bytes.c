/* linear_bytes.c: prefill by the dots of decode. Rows come in 8 bits already; a pair of groups of
 * weights meets a block of them while both are near. */
#include "tensor/linear_internal.h"

/* Rows whose results stay in L1. */
enum { N_ROW = 64 };

static void nothing(mn__work *work)
{
    (void)work;
}

/* As many as half of L2 holds: all panels come back to them. */
static size_t pass_rows(const mn__weight *w)
{
    size_t n = (1u << 20) / mn__q8_row_bytes(w->n_in) / N_ROW * N_ROW;
    return n > N_ROW ? n : N_ROW;
}

static void prepare(mn__work *work, const mn__weight *w, size_t col, int slot)
{
    (void)work;
    (void)w;
    (void)col;
    (void)slot;
}

static void fill(mn__work *work, const mn__weight *w, size_t col, int slot, size_t row,
                 size_t n_row, float *c)
{
    const size_t row_bytes = mn__q8_row_bytes(w->n_in);
    (void)slot;
    mn__dots_multiply(work->kern, w, col, work->x->q8 + row * row_bytes, row_bytes, n_row, c);
}

const mn__backend mn__backend_bytes = {
    .n_col = MN__MM_COLS,
    .n_row = N_ROW,
    .pass_rows = pass_rows,
    .begin = nothing,
    .end = nothing,
    .prepare = prepare,
    .fill = fill,
};
