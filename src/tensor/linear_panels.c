/* linear_panels.c: prefill in bf16. A panel of 32 outputs stays near while the rows pass by. */
#include "tensor/linear_internal.h"

/* Rows that pass by a panel before the results are written: enough that the panel's way into L1 is
 * paid, few enough that the sums stay in L2 with the rows. */
enum { N_ROW = 256 };

static void begin(mn__work *work)
{
    mn__tiles_begin(work->kern);
}

static void end(mn__work *work)
{
    mn__tiles_end(work->kern);
}

/* Packed panels cost nothing to come back to: then as many rows as half of L2 holds, or deep
 * products would wait for L3. */
static size_t pass_rows(const mn__weight *w)
{
    if (!w->packed || !w->packed->panels) return SIZE_MAX;
    size_t n = (1u << 20) / (w->n_in * sizeof(mn_bf16) + 1) / MN__MM_ROWS * MN__MM_ROWS;
    return n > 2 * MN__MM_ROWS ? n : 2 * MN__MM_ROWS;
}

static void prepare(mn__work *work, const mn__weight *w, size_t col, int slot)
{
    size_t k_pad = mn__round_up(w->n_in, 32), rest = w->n_out - col;
    if (w->packed && w->packed->panels) {
        work->panel[slot] = w->packed->panels + col * k_pad;
        return;
    }
    work->panel[slot] = work->space.panel[slot];
    if (w->packed && w->packed->dots) {
        mn__dots_panel(work->kern, w, col, work->space.panel[slot]);
        return;
    }
    size_t n = rest < MN__MM_COLS ? rest : MN__MM_COLS;
    mn__weight_widen(w, col, n, work->space.wide, w->n_in);
    work->kern->mm_pack_bf16(work->space.panel[slot], work->space.wide, w->n_in, n, w->n_in, k_pad);
}

static void fill(mn__work *work, const mn__weight *w, size_t col, int slot, size_t row,
                 size_t n_row, float *c)
{
    (void)col;
    const mn__rows *x = work->x;
    work->kern->mm_bf16(c, x->bf16 + row * x->ld, x->ld, n_row, work->panel[slot],
                        mn__round_up(w->n_in, 32));
}

const mn__backend mn__backend_panels = {
    .n_col = MN__MM_COLS,
    .n_row = N_ROW,
    .pass_rows = pass_rows,
    .begin = begin,
    .end = end,
    .prepare = prepare,
    .fill = fill,
};
