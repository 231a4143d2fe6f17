/* linear_dots.c: decode. Rows are quantised once per thread, then every weight row is read once and
 * meets all of them. */
#include <ggml-cpu.h>
#include <string.h>
#include "tensor/linear_internal.h"

enum { N_COL = 32 };

static void nothing(mn__work *work)
{
    (void)work;
}

static size_t pass_rows(const mn__weight *w)
{
    (void)w;
    return MN__DOT_ROWS;
}

/* Row i of the pass, as the dots of a partner type take it. */
static const void *partner_row(const mn__work *work, enum ggml_type partner, size_t i)
{
    if (partner == GGML_TYPE_F32) return work->x->f32 + (work->pass_row + i) * work->x->ld;
    return work->space.quant + i * work->space.quant_row_bytes;
}

static void quantise_for(mn__work *work, enum ggml_type partner)
{
    ggml_from_float_t from_float = ggml_get_type_traits_cpu(partner)->from_float;
    for (size_t i = 0; partner != GGML_TYPE_F32 && i < work->pass_n; i++)
        from_float(work->x->f32 + (work->pass_row + i) * work->x->ld,
                   work->space.quant + i * work->space.quant_row_bytes, (int64_t)work->x->n_in);
    work->quant_kind = partner;
}

static void quantise_own(mn__work *work)
{
    for (size_t i = 0; i < work->pass_n; i++) {
        mn__q8_row to =
            mn__q8_row_at(work->space.quant + i * work->space.quant_row_bytes, work->x->n_in);
        work->kern->quant_q8(to.q, to.scale, to.sum,
                             work->x->f32 + (work->pass_row + i) * work->x->ld, work->x->n_in);
    }
    work->quant_kind = MN__DOTS_OWN;
}

/* Nothing ahead of time: the weights of a pair may want the rows quantised in two ways. */
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
    (void)slot;
    if (w->packed && w->packed->dots) {
        if (work->quant_kind != MN__DOTS_OWN) quantise_own(work);
        mn__dots_multiply(work->kern, w, col,
                          work->space.quant + (row - work->pass_row) * work->space.quant_row_bytes,
                          work->space.quant_row_bytes, n_row, c);
        return;
    }
    const struct ggml_type_traits_cpu *traits = ggml_get_type_traits_cpu((enum ggml_type)w->type);
    if (work->quant_kind != (int)traits->vec_dot_type) quantise_for(work, traits->vec_dot_type);
    for (size_t j = 0; j < N_COL && col + j < w->n_out; j++)
        for (size_t r = 0; r < n_row; r++)
            traits->vec_dot((int)w->n_in, c + r * N_COL + j, 0, w->data + (col + j) * w->row_bytes,
                            0, partner_row(work, traits->vec_dot_type, row - work->pass_row + r), 0,
                            1);
}

const mn__backend mn__backend_dots = {
    .n_col = N_COL,
    .n_row = MN__DOT_ROWS,
    .pass_rows = pass_rows,
    .begin = nothing,
    .end = nothing,
    .prepare = prepare,
    .fill = fill,
};
