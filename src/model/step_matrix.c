/* step_matrix.c: products of a step, split over the threads by panels. */
#include "model/step_matrix.h"

#include <string.h>

#include "base/cpu.h"

void mn__step_kern_init(mn__step_kern *k, int level)
{
    mn__kern_init(&k->best, level);
    mn__kern_init(&k->few, level < MN__CPU_AVX512 ? level : MN__CPU_AVX512);
}

static size_t panels_of(const mn__matrix *m)
{
    return (m->n_out + MN__MM_COLS - 1) / MN__MM_COLS;
}

size_t mn__matrix_values(const mn__matrix *m)
{
    return panels_of(m) * MN__MM_COLS * m->n_in;
}

void mn__matrix_pack(const mn__matrix *m, const struct mn__kern *kern, const float *w, mn_bf16 *out)
{
    for (size_t i = 0; i < panels_of(m); i++) {
        const size_t left = m->n_out - i * MN__MM_COLS;
        kern->mm_pack_bf16(out + i * MN__MM_COLS * m->n_in, w + i * MN__MM_COLS * m->n_in, m->n_in,
                           left < MN__MM_COLS ? left : MN__MM_COLS, m->n_in, m->n_in);
    }
}

/* Tiles wait for every line that is not near: the next panel is asked for, its quarters in turn,
 * for several streams keep more requests under way than one. */
static void ask_ahead(const mn__matrix *m, size_t i)
{
    enum { LINE = 64, TO_L2 = 2, QUARTERS = 4 };
    const char *at = (const char *)(m->panel + i * MN__MM_COLS * m->n_in);
    const size_t quarter = MN__MM_COLS * m->n_in * sizeof *m->panel / QUARTERS;
    for (size_t k = 0; k < quarter; k += LINE)
        for (size_t q = 0; q < QUARTERS; q++) __builtin_prefetch(at + q * quarter + k, 0, TO_L2);
}

void mn__matrix_panel(const mn__matrix *m, const struct mn__kern *kern, size_t i,
                      const mn__step_rows *rows, float *c)
{
    if (rows->n >= MN__STEP_FEW && i + 1 < panels_of(m)) ask_ahead(m, i + 1);
    kern->mm_bf16(c, rows->x, rows->ld, rows->n, m->panel + i * MN__MM_COLS * m->n_in, m->n_in);
}

/* One panel's outputs to their place. */
static void write(const mn__step_product *p, const mn__matrix *m, size_t col, size_t col_y,
                  const float *c)
{
    const size_t left = m->n_out - col, n = left < MN__MM_COLS ? left : MN__MM_COLS;
    for (size_t r = 0; r < p->rows.n; r++) {
        float *y = p->y + r * p->ld_y + col_y + col;
        if (!p->add) {
            memcpy(y, c + r * MN__MM_COLS, n * sizeof *y);
            continue;
        }
        for (size_t j = 0; j < n; j++) y[j] += c[r * MN__MM_COLS + j];
    }
}

void mn__step_multiply(const mn__crew *crew, const mn__step_kern *k, const mn__step_product *p)
{
    const struct mn__kern *kern = mn__step_choose(k, p->rows.n);
    float c[MN__STEP_ROWS * MN__MM_COLS] __attribute__((aligned(64)));
    size_t n = 0, begin, end, first = 0, col_y = 0;
    for (size_t i = 0; i < p->n_matrix; i++) n += panels_of(&p->m[i]);
    mn__team_split(crew, n, 1, &begin, &end);
    mn__tiles_begin(kern);
    for (size_t i = 0; i < p->n_matrix && first < end; i++) {
        const mn__matrix *m = &p->m[i];
        const size_t own = panels_of(m), from = begin > first ? begin - first : 0,
                     to = end - first < own ? end - first : own;
        for (size_t j = from; j < to; j++) {
            mn__matrix_panel(m, kern, j, &p->rows, c);
            write(p, m, j * MN__MM_COLS, col_y, c);
        }
        first += own;
        col_y += m->n_out;
    }
    mn__tiles_end(kern);
}
