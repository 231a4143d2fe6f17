/* linear.c: the grid of a product, split over the threads in fixed contiguous runs, so that their
 * number changes no bit. */
#include <string.h>
#include "tensor/linear_internal.h"

/* Where results go: into y side by side, or those of (gate, up) through the activation into h. */
typedef struct target {
    const mn__weight *const *w;
    size_t n_w;
    float *y;
    size_t ld_y;
    bool add;
    mn__rows *h; /* NULL: y */
    mn__act act;
} target;

/* Panels of all weights of a target in a row: where one of them lies. */
typedef struct place {
    const mn__weight *w;
    size_t col, col_y; /* first output, within its weight and within y */
} place;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One row of a block, with its bias, to its place in y. c is spent. */
static void write_sums(const mn__work *work, const target *t, const place *at, size_t n_col,
                       float *y, float *c)
{
    if (at->w->bias) work->kern->add(c, c, at->w->bias + at->col, n_col);
    if (t->add)
        work->kern->add(y, y, c, n_col);
    else
        memcpy(y, c, n_col * sizeof *y);
}

static void write_gated(const mn__work *work, const target *t, size_t row, size_t n_row, size_t col,
                        size_t n_col, size_t ld_c)
{
    float *g = work->space.block[0], *u = work->space.block[1];
    mn__rows *h = t->h;
    size_t n = min_size(n_col, t->w[0]->n_out - col), whole = min_size(n_col, h->ld - col);
    const mn__weight *gate = t->w[0], *up = t->w[1];
    for (size_t r = 0; r < n_row; r++) {
        if (gate->bias) work->kern->add(g + r * ld_c, g + r * ld_c, gate->bias + col, n);
        if (up->bias) work->kern->add(u + r * ld_c, u + r * ld_c, up->bias + col, n);
    }
    if (t->act == MN__GLU_SILU)
        work->kern->silu_mul(g, g, u, n_row * ld_c);
    else
        work->kern->gelu_mul(g, g, u, n_row * ld_c);
    for (size_t r = 0; r < n_row; r++) {
        float *row_of_g = g + r * ld_c;
        if (h->q8) {
            mn__q8_row to = mn__q8_row_at(h->q8 + (row + r) * mn__q8_row_bytes(h->n_in), h->n_in);
            size_t block = col / MN__DOTS_BLOCK;
            work->kern->quant_q8(to.q + col, to.scale + block, to.sum + block, row_of_g, n);
            continue;
        }
        if (!h->bf16) {
            memcpy(h->f32 + (row + r) * h->ld + col, row_of_g, n * sizeof(float));
            continue;
        }
        memset(row_of_g + n, 0, (whole - n) * sizeof(float));
        work->kern->f32_to_bf16(h->bf16 + (row + r) * h->ld + col, row_of_g, whole);
    }
}

static place find_panel(const target *t, size_t n_col, size_t panel)
{
    place at = {t->w[0], 0, 0};
    size_t i = 0, col_y = 0;
    for (size_t n; panel >= (n = (t->w[i]->n_out + n_col - 1) / n_col); i++) {
        panel -= n;
        col_y += t->w[i]->n_out;
    }
    at.w = t->w[i];
    at.col = panel * n_col;
    at.col_y = col_y + at.col;
    return at;
}

static size_t count_panels(const target *t, size_t n_col)
{
    size_t n = 0;
    for (size_t i = 0; i < (t->h ? 1 : t->n_w); i++) n += (t->w[i]->n_out + n_col - 1) / n_col;
    return n;
}

/* The rows of y that a block will write are mostly in L2 or further: let them come while the
 * product is computed. */
static void call_rows(const target *t, const place *at, size_t row, size_t n_row, size_t n_col)
{
    for (size_t r = row; r < row + n_row; r++)
        for (size_t j = 0; j < n_col; j += 64 / sizeof *t->y)
            __builtin_prefetch(t->y + r * t->ld_y + at->col_y + j, 1);
}

static void do_block(mn__work *work, const mn__backend *b, const target *t, const place *at,
                     size_t row)
{
    size_t n_row = min_size(b->n_row, work->pass_row + work->pass_n - row);
    size_t n_col = min_size(b->n_col, at->w->n_out - at->col);
    float *c = work->space.block[0];
    if (!t->h) call_rows(t, at, row, n_row, n_col);
    b->fill(work, at->w, at->col, 0, row, n_row, c);
    if (t->h) {
        b->fill(work, t->w[1], at->col, 1, row, n_row, work->space.block[1]);
        write_gated(work, t, row, n_row, at->col, b->n_col, b->n_col);
        return;
    }
    for (size_t r = 0; r < n_row; r++)
        write_sums(work, t, at, n_col, t->y + (row + r) * t->ld_y + at->col_y, c + r * b->n_col);
}

static void do_pass(const mn__crew *crew, mn__work *work, const mn__backend *b, const target *t)
{
    size_t n_block = (work->pass_n + b->n_row - 1) / b->n_row, begin, end, last = SIZE_MAX;
    place at = {0};
    mn__team_split(crew, count_panels(t, b->n_col) * n_block, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t panel = i / n_block;
        if (panel != last) {
            at = find_panel(t, b->n_col, panel);
            b->prepare(work, at.w, at.col, 0);
            if (t->h) b->prepare(work, t->w[1], at.col, 1);
            last = panel;
        }
        do_block(work, b, t, &at, work->pass_row + i % n_block * b->n_row);
    }
}

static void run(const mn__crew *crew, mn__product *p, const target *t, const mn__rows *x)
{
    const mn__backend *b = x->decode                      ? &mn__backend_dots
                           : x->q8                        ? &mn__backend_bytes
                           : mn__product_is_bf16(p->kern) ? &mn__backend_panels
                                                          : &mn__backend_wide;
    mn__work work = {.kern = p->kern, .x = x};
    mn__product_space(p, crew->thread, &work.space);
    size_t most = min_size(b->pass_rows(t->w[0]), x->n_row);
    size_t n_pass = most ? (x->n_row + most - 1) / most : 0;
    b->begin(&work);
    for (size_t row = 0; row < x->n_row; row += work.pass_n) {
        work.pass_row = row;
        work.pass_n =
            min_size(mn__round_up((x->n_row + n_pass - 1) / n_pass, MN__MM_ROWS), x->n_row - row);
        work.quant_kind = MN__DOTS_NONE;
        do_pass(crew, &work, b, t);
    }
    b->end(&work);
}

void mn__linear(const mn__crew *crew, mn__product *p, const mn__weight *w, const mn__rows *x,
                float *y, size_t ld_y, bool add)
{
    const target t = {.w = &w, .n_w = 1, .y = y, .ld_y = ld_y, .add = add};
    run(crew, p, &t, x);
}

void mn__linear_side_by_side(const mn__crew *crew, mn__product *p, const mn__weight *const *w,
                             size_t n_w, const mn__rows *x, float *y, size_t ld_y)
{
    const target t = {.w = w, .n_w = n_w, .y = y, .ld_y = ld_y};
    run(crew, p, &t, x);
}

void mn__linear_glu(const mn__crew *crew, mn__product *p, const mn__weight *gate,
                    const mn__weight *up, const mn__rows *x, mn__act act, mn__rows *h)
{
    const mn__weight *const w[2] = {gate, up};
    const target t = {.w = w, .n_w = 2, .h = h, .act = act};
    run(crew, p, &t, x);
}
