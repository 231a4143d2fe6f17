/* prove_gather.c: proofs of the kernels that sum rows which look-ups chose. */
#include <math.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

static const size_t widths[] = {0,  1,  7,  8,   9,   15,  16,  17,  31,  32,
                                63, 64, 65, 127, 128, 129, 255, 256, 257, 600};
static const size_t counts[] = {0, 1, 2, 7, 8, 9, 10, 33};

struct gather_case {
    size_t n_row, width, n_table; /* rows that there are */
    uint32_t *row;
    float *score, *bias; /* bias may be NULL */
};

static struct gather_case draw(struct probe *p)
{
    struct gather_case c = {.n_row = probe_pick(p, counts, COUNT(counts)),
                            .width = probe_pick(p, widths, COUNT(widths)),
                            .n_table = 1 + probe_below(p, 40)};
    c.row = guard_take(c.n_row * sizeof *c.row);
    for (size_t i = 0; i < c.n_row; i++) c.row[i] = (uint32_t)probe_below(p, c.n_table);
    c.score = guard_f32(p, c.n_row);
    c.bias = probe_below(p, 4) ? guard_f32(p, c.width) : NULL;
    probe_shape(p, "rows %zu of %zu width %zu bias %d", c.n_row, c.n_table, c.width,
                c.bias != NULL);
    return c;
}

/* x: all rows as floats. */
static float *tolerances(const struct gather_case *c, const float *x)
{
    float *tol = guard_take(c->width * 4);
    for (size_t j = 0; j < c->width; j++) {
        float mag = c->bias ? fabsf(c->bias[j]) : 0;
        for (size_t i = 0; i < c->n_row; i++)
            mag += fabsf(c->score[i] * x[c->row[i] * c->width + j]);
        tol[j] = tol_dot(mag, c->n_row + 1);
    }
    return tol;
}

void prove_gather_f32(struct probe *p)
{
    const struct gather_case c = draw(p);
    float *x = guard_f32(p, c.n_table * c.width), *a = guard_take(c.width * 4),
          *b = guard_take(c.width * 4);
    p->ref->gather_f32(a, c.bias, x, c.row, c.score, c.n_row, c.width);
    p->kern->gather_f32(b, c.bias, x, c.row, c.score, c.n_row, c.width);
    check_f32(p, "sum", a, b, tolerances(&c, x), c.width);
}

void prove_gather_bf16(struct probe *p)
{
    const struct gather_case c = draw(p);
    const size_t n = c.n_table * c.width;
    mn_bf16 *x = guard_bf16(p, n);
    float *wide = guard_take(n * 4), *a = guard_take(c.width * 4), *b = guard_take(c.width * 4);
    for (size_t i = 0; i < n; i++) wide[i] = mn__bf16_widen(x[i]);
    p->ref->gather_bf16(a, c.bias, x, c.row, c.score, c.n_row, c.width);
    p->kern->gather_bf16(b, c.bias, x, c.row, c.score, c.n_row, c.width);
    check_f32(p, "sum", a, b, tolerances(&c, wide), c.width);
}

void prove_gather_q8(struct probe *p)
{
    const struct gather_case c = draw(p);
    const size_t n = c.n_table * c.width;
    int8_t *x = guard_take(n);
    float *wide = guard_take(n * 4), *a = guard_take(c.width * 4), *b = guard_take(c.width * 4);
    for (size_t i = 0; i < n; i++) {
        x[i] = (int8_t)((int)probe_below(p, 255) - 127);
        wide[i] = x[i];
    }
    p->ref->gather_q8(a, c.bias, x, c.row, c.score, c.n_row, c.width);
    p->kern->gather_q8(b, c.bias, x, c.row, c.score, c.n_row, c.width);
    check_f32(p, "sum", a, b, tolerances(&c, wide), c.width);
}

/* Scores: each of n_bit factors is exact to some ulp, so is their product to n_bit times as many.
 * Codes are held to every bit, at zeros of both signs too. */
void prove_hash_signs(struct probe *p)
{
    const size_t n_table = probe_pick(p, counts, COUNT(counts)), n_bit = 1 + probe_below(p, 16);
    const float temperature = probe_below(p, 2) ? 1.0f : 0.37f;
    const int by_size = (int)probe_below(p, 2);
    float *x = guard_f32(p, n_table * n_bit), *a = guard_take(n_table * 4),
          *b = guard_take(n_table * 4), *tol = guard_take(n_table * 4);
    uint32_t *row_a = guard_take(n_table * 4), *row_b = guard_take(n_table * 4);
    for (size_t i = 0; i < n_table * n_bit; i++)
        if (!probe_below(p, 6)) x[i] = probe_below(p, 2) ? 0.0f : -0.0f;
    probe_shape(p, "tables %zu bits %zu by size %d", n_table, n_bit, by_size);
    p->ref->hash_signs(row_a, a, x, n_table, n_bit, temperature, by_size);
    p->kern->hash_signs(row_b, b, x, n_table, n_bit, temperature, by_size);
    check_same(p, "row", row_a, row_b, n_table * 4);
    for (size_t k = 0; k < n_table; k++) tol[k] = (float)(n_bit + 2) * tol_exp(a[k]);
    check_f32(p, "score", a, b, tol, n_table);
}

void prove_row_dots_bf16(struct probe *p)
{
    const struct gather_case c = draw(p);
    mn_bf16 *rows = guard_bf16(p, c.n_table * c.width);
    float *x = guard_f32(p, c.width), *a = guard_take(c.n_row * 4), *b = guard_take(c.n_row * 4),
          *tol = guard_take(c.n_row * 4);
    for (size_t i = 0; i < c.n_row; i++) {
        float mag = 0;
        for (size_t j = 0; j < c.width; j++)
            mag += fabsf(mn__bf16_widen(rows[c.row[i] * c.width + j]) * x[j]);
        tol[i] = tol_dot(mag, c.width + 1);
    }
    p->ref->row_dots_bf16(a, rows, c.row, x, c.n_row, c.width);
    p->kern->row_dots_bf16(b, rows, c.row, x, c.n_row, c.width);
    check_f32(p, "dot", a, b, tol, c.n_row);
}
