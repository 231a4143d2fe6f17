/* heads.c: rotation of positions. Ref: arXiv 2104.09864; in halves, as GPT-NeoX.
 *   (a, b) -> (a cos - b sin, b cos + a sin); its gradient is the rotation back. */
#include "layer/heads.h"

enum { ROW_GRAIN = 32 };

mn__real *mn__rotary_table(const mn__rotary *r, const mn__env *env, size_t len)
{
    const size_t half = r->n_rot / 2;
    mn__real *table = mn__take_reals(env, len * half * 2);
    if (mn__env_is_dry(env)) return table;
    for (size_t i = 0; i < half; i++) {
        double freq = pow(r->base, -2.0 * (double)i / (double)r->n_rot);
        for (size_t t = 0; t < len; t++) {
            table[(t * half + i) * 2] = (mn__real)cos((double)t * freq);
            table[(t * half + i) * 2 + 1] = (mn__real)sin((double)t * freq);
        }
    }
    return table;
}

typedef struct turning {
    const mn__turn *t;
    const mn__real *table;
    size_t half, len;
} turning;

static void turn_rows(void *arg, size_t begin, size_t end, int thread)
{
    const turning *p = arg;
    const mn__turn *t = p->t;
    const mn__real side = t->back ? -1 : 1;
    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const mn__real *at = p->table + row % p->len * p->half * 2;
        for (size_t h = 0; h < t->n_head; h++) {
            mn__real *x = t->x + row * t->ld + h * t->dim;
            for (size_t i = 0; i < p->half; i++) {
                mn__real a = x[i], b = x[i + p->half], c = at[2 * i], s = side * at[2 * i + 1];
                x[i] = a * c - b * s;
                x[i + p->half] = b * c + a * s;
            }
        }
    }
}

void mn__rotary_turn(const mn__rotary *r, const mn__env *env, mn__shape s, const mn__real *table,
                     const mn__turn *t)
{
    turning p = {t, table, r->n_rot / 2, s.len};
    if (p.half) mn__each(env, s.n_seq * s.len, ROW_GRAIN, turn_rows, &p);
}
