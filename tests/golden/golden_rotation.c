/* golden_rotation.c: kind `rotation`: stored keys that move to another position. */
#include <stdio.h>
#include <stdlib.h>

#include "golden/golden.h"
#include "kern/kern.h"
#include "tensor/rope.h"

enum { ROW_MAX = 4096, DIM_MAX = 512 };

typedef struct moves {
    size_t n_row, dim, n_freq;
    bool adjacent;
    double *freq, *from, *to, *rows, *moved;
} moves;

static bool read_moves(golden *g, const json_t *c, moves *m)
{
    m->n_freq = json_array_size(json_object_get(c, "freq"));
    m->n_row = json_array_size(json_object_get(c, "rows"));
    m->dim = json_array_size(json_array_get(json_object_get(c, "rows"), 0));
    if (!golden_fields(g, c, "a case", "pairs freq from to rows moved") ||
        !golden_pairs(g, c, &m->adjacent))
        return false;
    if (!m->n_row || m->n_row > ROW_MAX || m->dim > DIM_MAX || !m->n_freq || 2 * m->n_freq > m->dim)
        return golden_fail(g, "%zu rows of %zu channels with %zu frequencies cannot be", m->n_row,
                           m->dim, m->n_freq);
    const size_t block[] = {m->n_row, m->dim, 0}, freq[] = {m->n_freq, 0}, list[] = {m->n_row, 0};
    m->freq = golden_numbers(g, c, "freq", freq, false);
    m->from = golden_numbers(g, c, "from", list, false);
    m->to = golden_numbers(g, c, "to", list, false);
    m->rows = golden_numbers(g, c, "rows", block, false);
    m->moved = golden_numbers(g, c, "moved", block, false);
    return m->freq && m->from && m->to && m->rows && m->moved;
}

static bool turn_row(golden *g, const moves *m, const struct mn__kern *kern, size_t row,
                     double tolerance)
{
    float x[DIM_MAX], cos_sin[DIM_MAX];
    const mn__rope rope = {
        .n_rot = 2 * m->n_freq, .neox = !m->adjacent, .magnitude = 1, .freq = m->freq};
    for (size_t i = 0; i < m->dim; i++) x[i] = (float)m->rows[row * m->dim + i];
    mn__rope_delta(&rope, (int64_t)m->to[row] - (int64_t)m->from[row], cos_sin);
    kern->rope(x, cos_sin, rope.n_rot, rope.neox);
    for (size_t i = 0; i < m->dim; i++) {
        char what[64];
        snprintf(what, sizeof what, "row %zu, channel %zu", row, i);
        if (!golden_near(g, what, m->moved[row * m->dim + i], (double)x[i], tolerance))
            return false;
    }
    return true;
}

static bool one_case(golden *g, const json_t *c, double tolerance)
{
    moves m = {0};
    struct mn__kern kern;
    mn__kern_init(&kern, golden_level());
    bool ok = read_moves(g, c, &m);
    for (size_t row = 0; ok && row < m.n_row; row++) ok = turn_row(g, &m, &kern, row, tolerance);
    free(m.freq);
    free(m.from);
    free(m.to);
    free(m.rows);
    free(m.moved);
    return ok;
}

bool golden_rotation(golden *g)
{
    double tolerance;
    const json_t *cases = json_object_get(g->root, "cases");
    if (!golden_fields(g, g->root, "", "kind case oracle seed tolerance cases") ||
        !golden_real(g, g->root, "tolerance", &tolerance))
        return false;
    if (!json_array_size(cases)) return golden_fail(g, "`cases`: a list is wanted");
    for (size_t i = 0; i < json_array_size(cases); i++)
        if (!one_case(g, json_array_get(cases, i), tolerance)) return false;
    return true;
}
