/* half.c: b becomes panels of 32 columns, all at first; then blocks of rows of a, deep parts of
 * them at a time, are rounded into a buffer that stays in the second cache, and meet all panels. */
#include "layer/half.h"

#include "base/heap.h"

#ifndef MN_REAL_DOUBLE

enum {
    ROWS = 256,         /* of c, an item's */
    DEPTH = 1024,       /* of a, rounded at a time: half a megabyte with ROWS */
    PANELS = 48,        /* an item's */
    PANELS_TURNED = 16, /* where c has few rows: gradients of weights */
    COLS = MN__MM_COLS,
    STEP = 32,      /* depths are multiples of */
    GAP = 32,       /* between rows of a, so that they do not share sets of a cache */
    LEAST = 1 << 18 /* multiply-adds worth the way */
};

typedef struct pass {
    const mn__mm *p;
    const struct mn__kern *kern;
    bool a_turned, b_turned;
    size_t depth; /* k up to a multiple of STEP */
    size_t part;  /* deep part of it */
    size_t n_panel, n_group, group;
    mn_bf16 *panel; /* [n_panel][depth][COLS] */
    mn_bf16 *rows;  /* [threads][ROWS][part + GAP] */
    float *edge;    /* [threads][ROWS][COLS]: of the last panel, where n ends within it */
} pass;

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void pack_panels(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    const mn__mm *p = s->p;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const size_t col = i * COLS, n = least(p->n - col, COLS);
        mn_bf16 *to = s->panel + i * s->depth * COLS;
        if (s->b_turned)
            s->kern->mm_pack_bf16(to, p->b + col * p->ld_b, p->ld_b, n, p->k, s->depth);
        else
            s->kern->mm_pack_cols_bf16(to, p->b + col, p->ld_b, n, p->k, s->depth);
    }
}

/* n rows of a from `row` on, columns [k0, k0 + k), which are zeros beyond a's. */
static void round_rows(const pass *s, mn_bf16 *to, size_t row, size_t n, size_t k0, size_t k)
{
    const mn__mm *p = s->p;
    const size_t ld = s->part + GAP, here = least(p->k - k0, k);
    if (s->a_turned) {
        s->kern->mm_turn_bf16(to, ld, p->a + k0 * p->ld_a + row, p->ld_a, n, here, k);
        return;
    }
    for (size_t r = 0; r < n; r++) {
        s->kern->f32_to_bf16(to + r * ld, p->a + (row + r) * p->ld_a + k0, here);
        for (size_t i = here; i < k; i++) to[r * ld + i] = 0;
    }
}

/* The panel that c ends within, by way of a block of its own. */
static void add_edge(const pass *s, float *c, size_t n_col, const float *edge, size_t n, bool add)
{
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < n_col; j++)
            c[r * s->p->ld_c + j] =
                add ? c[r * s->p->ld_c + j] + edge[r * COLS + j] : edge[r * COLS + j];
}

static void multiply(const pass *s, size_t row, size_t n, size_t first, int thread)
{
    const mn__mm *p = s->p;
    const size_t last = least(first + s->group, s->n_panel), ld = s->part + GAP;
    mn_bf16 *a = s->rows + (size_t)thread * ROWS * ld;
    float *edge = s->edge + (size_t)thread * ROWS * COLS;
    for (size_t k0 = 0; k0 < s->depth; k0 += s->part) {
        const size_t k = least(s->depth - k0, s->part);
        const bool add = p->add || k0;
        round_rows(s, a, row, n, k0, k);
        for (size_t i = first; i < last; i++) {
            const mn_bf16 *b = s->panel + (i * s->depth + k0) * COLS;
            const size_t col = i * COLS, n_col = least(p->n - col, COLS);
            const mn_bf16 *next = i + 1 < last ? b + s->depth * COLS : NULL;
            float *c = p->c + row * p->ld_c + col;
            if (n_col == COLS) {
                s->kern->mm_into_bf16(c, p->ld_c, add, a, ld, n, b, k, next);
            } else {
                s->kern->mm_into_bf16(edge, COLS, 0, a, ld, n, b, k, next);
                add_edge(s, c, n_col, edge, n, add);
            }
        }
    }
}

/* Item: a block of rows by a group of panels. */
static void multiply_items(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    mn__tiles_begin(s->kern);
    for (size_t i = begin; i < end; i++) {
        const size_t row = i / s->n_group * ROWS;
        multiply(s, row, least(s->p->m - row, ROWS), i % s->n_group * s->group, thread);
    }
    mn__tiles_end(s->kern);
}

bool mn__half_takes(const mn__env *env, const mn__mm *p)
{
    return env->half && p->m * p->n * p->k >= LEAST;
}

void mn__half_mm(const mn__env *env, const mn__mm *p, bool a_turned, bool b_turned)
{
    const size_t mark = mn__tape_mark(env->tape), n_thread = (size_t)mn__env_threads(env);
    pass s = {.p = p, .kern = env->kern, .a_turned = a_turned, .b_turned = b_turned};
    s.depth = up(p->k, STEP) * STEP;
    s.part = up(up(s.depth, up(s.depth, DEPTH)), STEP) * STEP;
    s.n_panel = up(p->n, COLS);
    s.group = a_turned ? PANELS_TURNED : PANELS;
    s.n_group = up(s.n_panel, s.group);
    s.panel = mn__tape_take(env->tape, s.n_panel * s.depth * COLS, sizeof *s.panel);
    s.rows = mn__tape_take(env->tape, n_thread * ROWS * (s.part + GAP), sizeof *s.rows);
    s.edge = mn__tape_take(env->tape, n_thread * ROWS * COLS, sizeof *s.edge);
    mn__each(env, s.n_panel, 1, pack_panels, &s);
    mn__each(env, up(p->m, ROWS) * s.n_group, 1, multiply_items, &s);
    mn__tape_cut(env->tape, mark);
}
#else
bool mn__half_takes(const mn__env *env, const mn__mm *p)
{
    (void)env;
    (void)p;
    return false;
}

void mn__half_mm(const mn__env *env, const mn__mm *p, bool a_turned, bool b_turned)
{
    (void)env;
    (void)p;
    (void)a_turned;
    (void)b_turned;
}
#endif
