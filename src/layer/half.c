/* half.c: b becomes panels of 32 columns; blocks of rows of a, deep parts of them at a time, are
 * rounded into a buffer that stays in the second cache, and meet all panels. Where all threads
 * share a product, panels are packed first, for all of them; in a tile each as it comes. */
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

struct mn__half_room {
    const struct mn__kern *kern;
    mn_bf16 *rows;  /* [ROWS][part + GAP] */
    mn_bf16 *panel; /* [part][COLS]: a tile's */
    float *edge;    /* [ROWS][COLS]: of the last panel, where n ends within it */
};

typedef struct pass {
    const mn__mm *p;
    const struct mn__kern *kern;
    bool a_turned, b_turned;
    size_t depth; /* k up to a multiple of STEP */
    size_t part;  /* deep part of it, at most DEPTH */
    size_t n_panel, n_group, group;
    mn_bf16 *panel;                   /* [n_panel][depth][COLS]; NULL: packed as they come */
    const struct mn__half_room *room; /* [threads], or the thread's own */
} pass;

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Depths [k0, k0 + k) of panel i, which are zeros beyond b's. */
static void pack_panel(const pass *s, mn_bf16 *to, size_t i, size_t k0, size_t k)
{
    const mn__mm *p = s->p;
    const size_t col = i * COLS, n = least(p->n - col, COLS), here = least(p->k - k0, k);
    if (s->b_turned)
        s->kern->mm_pack_bf16(to, p->b + col * p->ld_b + k0, p->ld_b, n, here, k);
    else
        s->kern->mm_pack_cols_bf16(to, p->b + k0 * p->ld_b + col, p->ld_b, n, here, k);
}

static void pack_panels(void *arg, size_t begin, size_t end, int thread)
{
    const pass *s = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        pack_panel(s, s->panel + i * s->depth * COLS, i, 0, s->depth);
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

static const mn_bf16 *panel_of(const pass *s, const struct mn__half_room *room, size_t i, size_t k0,
                               size_t k)
{
    if (s->panel) return s->panel + (i * s->depth + k0) * COLS;
    pack_panel(s, room->panel, i, k0, k);
    return room->panel;
}

static void multiply(const pass *s, const struct mn__half_room *room, size_t row, size_t n,
                     size_t first)
{
    const mn__mm *p = s->p;
    const size_t last = least(first + s->group, s->n_panel), ld = s->part + GAP;
    for (size_t k0 = 0; k0 < s->depth; k0 += s->part) {
        const size_t k = least(s->depth - k0, s->part);
        const bool add = p->add || k0;
        round_rows(s, room->rows, row, n, k0, k);
        for (size_t i = first; i < last; i++) {
            const mn_bf16 *b = panel_of(s, room, i, k0, k);
            const size_t col = i * COLS, n_col = least(p->n - col, COLS);
            const mn_bf16 *next = s->panel && i + 1 < last ? b + s->depth * COLS : NULL;
            float *c = p->c + row * p->ld_c + col;
            if (n_col == COLS) {
                s->kern->mm_into_bf16(c, p->ld_c, add, room->rows, ld, n, b, k, next);
            } else {
                s->kern->mm_into_bf16(room->edge, COLS, 0, room->rows, ld, n, b, k, next);
                add_edge(s, c, n_col, room->edge, n, add);
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
        multiply(s, s->room + thread, row, least(s->p->m - row, ROWS), i % s->n_group * s->group);
    }
    mn__tiles_end(s->kern);
}

static pass pass_of(const struct mn__kern *kern, const mn__mm *p, bool a_turned, bool b_turned)
{
    pass s = {.p = p, .kern = kern, .a_turned = a_turned, .b_turned = b_turned};
    s.depth = up(p->k, STEP) * STEP;
    s.part = up(up(s.depth, up(s.depth, DEPTH)), STEP) * STEP;
    s.n_panel = up(p->n, COLS);
    return s;
}

/* Room of all threads for parts so deep. */
static const struct mn__half_room *take_rooms(const mn__env *env, size_t part, bool tiles)
{
    const size_t n_thread = (size_t)mn__env_threads(env);
    struct mn__half_room *room = mn__tape_take(env->tape, n_thread, sizeof *room);
    for (size_t i = 0; i < n_thread; i++) {
        const struct mn__half_room own = {
            .kern = env->kern,
            .rows = mn__tape_take(env->tape, ROWS * (part + GAP), sizeof(mn_bf16)),
            .panel = mn__tape_take(env->tape, tiles ? part * COLS : 0, sizeof(mn_bf16)),
            .edge = mn__take_reals(env, (size_t)ROWS * COLS)};
        if (!mn__env_is_dry(env)) room[i] = own;
    }
    return room;
}

static bool is_worth(const mn__mm *p)
{
    return p->m * p->n * p->k >= LEAST;
}

bool mn__half_takes(const mn__env *env, const mn__mm *p)
{
    return env->half && is_worth(p);
}

void mn__half_mm(const mn__env *env, const mn__mm *p, bool a_turned, bool b_turned)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass s = pass_of(env->kern, p, a_turned, b_turned);
    s.group = a_turned ? PANELS_TURNED : PANELS;
    s.n_group = up(s.n_panel, s.group);
    s.panel = mn__tape_take(env->tape, s.n_panel * s.depth * COLS, sizeof *s.panel);
    s.room = take_rooms(env, s.part, false);
    mn__each(env, s.n_panel, 1, pack_panels, &s);
    mn__each(env, up(p->m, ROWS) * s.n_group, 1, multiply_items, &s);
    mn__tape_cut(env->tape, mark);
}

const struct mn__half_room *mn__half_rooms(const mn__env *env)
{
    return env->half ? take_rooms(env, DEPTH, true) : NULL;
}

const struct mn__half_room *mn__half_room_of(const struct mn__half_room *rooms, int thread)
{
    return rooms ? rooms + thread : NULL;
}

bool mn__half_tile(const mn__mm *p, bool a_turned, bool b_turned)
{
    if (!p->room || !is_worth(p)) return false;
    pass s = pass_of(p->room->kern, p, a_turned, b_turned);
    s.group = s.n_panel;
    mn__tiles_begin(s.kern);
    for (size_t row = 0; row < p->m; row += ROWS)
        multiply(&s, p->room, row, least(p->m - row, ROWS), 0);
    mn__tiles_end(s.kern);
    return true;
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

const struct mn__half_room *mn__half_rooms(const mn__env *env)
{
    (void)env;
    return NULL;
}

const struct mn__half_room *mn__half_room_of(const struct mn__half_room *rooms, int thread)
{
    (void)thread;
    return rooms;
}

bool mn__half_tile(const mn__mm *p, bool a_turned, bool b_turned)
{
    (void)p;
    (void)a_turned;
    (void)b_turned;
    return false;
}
#endif
