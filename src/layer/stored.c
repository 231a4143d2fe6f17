/* stored.c: what layers do with parameters that stay as the file holds them. */
#include "layer/stored.h"

#ifndef MN_REAL_DOUBLE

#include <string.h>

#include "layer/ops.h"

/* Multiply-adds from which on a product is worth the other threads. */
enum { ROW_UNIT = 32, TEAM_LEAST = 1 << 16 };

typedef struct product {
    const mn__env *env;
    const mn__weight *w;
    mn__rows rows;
    const float *x;
    float *y;
} product;

static void multiply(const mn__crew *crew, void *arg)
{
    product *p = arg;
    for (size_t i = (size_t)crew->thread; i < p->rows.n_row; i += (size_t)crew->n_thread)
        mn__rows_set(p->env->kern, &p->rows, i, p->x + i * p->w->n_in);
    if (crew->n_thread > 1) mn__team_wait(crew);
    mn__linear(crew, p->env->product, p->w, &p->rows, p->y, p->w->n_out, false);
}

void mn__stored_linear(const mn__weight *w, const mn__env *env, size_t n, const float *x, float *y)
{
    const size_t mark = mn__tape_mark(env->tape);
    product p = {.env = env, .w = w, .x = x, .y = y};
    p.rows = (mn__rows){.decode = env->decode, .n_row = n, .n_in = w->n_in};
    p.rows.ld = (w->n_in + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
    if (env->decode || !mn__product_is_bf16(env->kern))
        p.rows.f32 = mn__take_reals(env, n * p.rows.ld);
    else
        p.rows.bf16 = mn__tape_take(env->tape, n * p.rows.ld, sizeof *p.rows.bf16);
    const mn__crew alone = {env->team, 0, 1};
    if (n && !mn__env_is_dry(env)) {
        if (n * w->n_in * w->n_out < TEAM_LEAST)
            multiply(&alone, &p);
        else
            mn__team_run(env->team, multiply, &p);
    }
    mn__tape_cut(env->tape, mark);
}

void mn__stored_gather(const mn__env *env, const mn__gather_rows *g, float *y)
{
    const mn__stored *s = g->table->stored;
    const size_t width = g->table->row / g->n_part;
    if (!s) {
        env->kern->gather_f32(y, g->bias, g->table->w, g->row, g->score, g->n_row, width);
        return;
    }
    if (s->bf16) {
        env->kern->gather_bf16(y, g->bias, s->bf16, g->row, g->score, g->n_row, width);
        return;
    }
    for (size_t i = 0; i < g->n_row; i++)
        g->work[i] = g->score[i] * s->scale[g->row[i] / g->n_part];
    env->kern->gather_q8(y, g->bias, s->q8, g->row, g->work, g->n_row, width);
}

/* bf16 is the upper half of a float. */
static float widen(mn_bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

float mn__stored_dot(const mn__param *table, size_t row, const float *z)
{
    const mn__stored *s = table->stored;
    const size_t n = table->row;
    float sum = 0;
    if (!s) return mn__dot(table->w + row * n, z, n);
    if (s->bf16) {
        for (size_t i = 0; i < n; i++) sum += widen(s->bf16[row * n + i]) * z[i];
        return sum;
    }
    for (size_t i = 0; i < n; i++) sum += (float)s->q8[row * n + i] * z[i];
    return sum * s->scale[row];
}

#endif
