/* schedule.c: learning rates of steps. */
#include "train/schedule.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

double mn__schedule_rate(const mn__schedule *s, size_t step)
{
    double low = s->rate * s->last;
    if (step < s->n_warmup)
        return s->rate * (s->first + (1 - s->first) * (double)step / (double)s->n_warmup);
    if (step >= s->n_step) return low;
    double done = (double)(step - s->n_warmup) / (double)(s->n_step - s->n_warmup);
    return low + (s->rate - low) * (1 + cos(pi * done)) / 2;
}

double mn__schedule_value_rate(const mn__schedule *s, const mn__value_schedule *v, size_t step)
{
    if (v->constant > 0) return v->constant;
    double left = 1 - (double)step / ((double)s->n_step * v->share);
    mn__schedule values = *s;
    values.rate *= 1 + (v->times - 1) * fmax(0, left);
    return mn__schedule_rate(&values, step);
}
