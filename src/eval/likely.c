/* likely.c: log-softmax and divergence over a vocabulary: exponentials by the kernels, sums in
 * double, so that divergences near zero are not rounding. */
#include "eval/likely.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { LANES = 8 }; /* partial sums, for the compiler to put side by side */

mn_status mn__likely_init(mn__likely *l, const struct mn__kern *kern, size_t n_vocab, mn_diag *diag)
{
    *l = (mn__likely){.kern = kern, .n_vocab = n_vocab};
    l->share = mn__alloc_array(MN_MEM_OTHER, n_vocab, sizeof(float));
    l->work = mn__alloc_array(MN_MEM_OTHER, n_vocab, sizeof(float));
    if (l->share && l->work) return MN_OK;
    mn__likely_fini(l);
    return mn__fail(diag, MN_ENOMEM, "no memory for the likelihoods of %zu tokens", n_vocab);
}

void mn__likely_fini(mn__likely *l)
{
    mn__free(l->share);
    mn__free(l->work);
    *l = (mn__likely){0};
}

static double total(const double part[LANES])
{
    double sum = 0;
    for (size_t j = 0; j < LANES; j++) sum += part[j];
    return sum;
}

/* out = exp(logits - largest); returns log of the sum of exp(logits), *sum that of out. */
static double exponentials(const mn__likely *l, const float *logits, float *out, double *sum)
{
    float top = 0, one = 1;
    double part[LANES] = {0};
    const int32_t from = 0, to = (int32_t)l->n_vocab;
    size_t n = l->n_vocab, whole = n / LANES * LANES;
    l->kern->max_f32(&top, logits, n);
    memcpy(out, logits, n * sizeof *out);
    l->kern->probs(out, n, 1, n, &from, &to, one, &top);
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++) part[j] += (double)out[i + j];
    for (size_t i = whole; i < n; i++) part[0] += (double)out[i];
    *sum = total(part);
    return (double)top + log(*sum);
}

void mn__likely_set_full(mn__likely *l, const float *logits)
{
    l->full = logits;
    l->lse = exponentials(l, logits, l->share, &l->sum);
}

void mn__likely_compare(mn__likely *l, const float *logits, int32_t token, double *nll, double *kl)
{
    double part[LANES] = {0}, sum, lse = exponentials(l, logits, l->work, &sum);
    size_t n = l->n_vocab, whole = n / LANES * LANES;
    const float *p = l->share, *a = l->full;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            part[j] += (double)p[i + j] * ((double)a[i + j] - (double)logits[i + j]);
    for (size_t i = whole; i < n; i++) part[0] += (double)p[i] * ((double)a[i] - (double)logits[i]);
    *nll = lse - (double)logits[token];
    /* Never below zero but for rounding. */
    *kl = fmax(0, total(part) / l->sum + lse - l->lse);
    if (!isfinite(lse) || !isfinite(l->lse)) *nll = *kl = NAN;
}

int32_t mn__likely_best(const float *logits, size_t n_vocab)
{
    int32_t best = 0;
    float top = -INFINITY;
    for (size_t i = 0; i < n_vocab; i++)
        if (logits[i] > top) {
            top = logits[i];
            best = (int32_t)i;
        }
    return best;
}
