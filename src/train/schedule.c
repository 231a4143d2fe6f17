/* schedule.c: learning rates of steps. */
#include "train/schedule.h"

#include <math.h>

#include "train/cosine.h"

double mn__schedule_rate(const mn__schedule *s, size_t step)
{
    const mn__cosine c = {s->rate, s->rate * s->last, (double)s->n_warmup, (double)s->n_step};
    if (step < s->n_warmup)
        return s->rate * (s->first + (1 - s->first) * (double)step / (double)s->n_warmup);
    return mn__cosine_rate(&c, (double)step);
}

double mn__schedule_value_rate(const mn__schedule *s, const mn__value_schedule *v, size_t step)
{
    if (v->constant > 0) return v->constant;
    double left = 1 - (double)step / ((double)s->n_step * v->share);
    mn__schedule values = *s;
    values.rate *= 1 + (v->times - 1) * fmax(0, left);
    return mn__schedule_rate(&values, step);
}
