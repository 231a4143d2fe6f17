/* cosine.c: see cosine.h. */
#include "train/cosine.h"

#include <math.h>

double mn__cosine_rate(const mn__cosine *c, double step)
{
    if (step < c->n_warmup) return c->max * step / c->n_warmup;
    if (step >= c->n_step) return c->min;
    const double done = (step - c->n_warmup) / (c->n_step - c->n_warmup);
    return c->min + (c->max - c->min) * (1 + cos(acos(-1.0) * done)) / 2;
}
