/* peer_distance.c: how far two sets of logits are apart (peer.h). One pass finds each row's largest
 * logits, a second one everything else, with two exponentials a token: a vocabulary has up to
 * 262,144 of them, and a text 2,000 rows. */
#include <math.h>

#include "peer.h"

/* What the first pass finds. */
typedef struct tops {
    size_t a, b;
} tops;

static tops find_tops(const float *a, const float *b, size_t n)
{
    tops t = {0, 0};
    for (size_t i = 1; i < n; i++) {
        if (a[i] > a[t.a]) t.a = i;
        if (b[i] > b[t.b]) t.b = i;
    }
    return t;
}

void peer_tally_row(peer_tally *t, const float *a, const float *b, size_t n_vocab, int32_t next)
{
    tops top = find_tops(a, b, n_vocab);
    double max_a = a[top.a], max_b = b[top.b], norm_a = 0, norm_b = 0, shift = 0, far = 0;
    double sum = 0, square = 0;
    size_t n_bad = 0;
#ifdef _OPENMP
#pragma omp parallel for if (n_vocab > 10000) num_threads(2) schedule(static)                      \
    reduction(+ : norm_a, norm_b, shift, sum, square, n_bad) reduction(max : far)
#endif
    for (size_t i = 0; i < n_vocab; i++) {
        double x = a[i], diff = x - b[i], share = exp(x - max_a);
        norm_a += share;
        norm_b += exp(b[i] - max_b);
        shift += share * diff;
        far = fmax(far, fabs(diff));
        sum += x;
        square += x * x;
        n_bad += !isfinite(x) || !isfinite(b[i]);
    }
    /* sum p (log p - log q) with log p = a - log Za, log q = b - log Zb */
    double log_a = max_a + log(norm_a), log_b = max_b + log(norm_b);
    double kl = shift / norm_a - log_a + log_b, n = (double)n_vocab;
    double variance = square / n - sum / n * (sum / n);
    t->n++;
    t->n_bad += n_bad;
    t->n_same += top.a == top.b;
    t->kl_sum += kl;
    t->kl_max = fmax(t->kl_max, kl);
    t->max_abs = fmax(t->max_abs, far);
    t->spread += variance > 0 ? sqrt(variance) : 0;
    if (next < 0) return;
    t->n_next++;
    t->nll_a += log_a - a[next];
    t->nll_b += log_b - b[next];
}

void peer_tally_end(const peer_tally *t, peer_distance *out)
{
    double n = (double)t->n;
    *out = (peer_distance){.n_bad = t->n_bad};
    if (t->n == 0) return;
    out->kl_mean = t->kl_sum / n;
    out->kl_max = t->kl_max;
    out->same_top = (double)t->n_same / n;
    out->max_abs = t->max_abs;
    out->spread = t->spread / n;
    if (t->n_next == 0) return;
    out->ppl_a = exp(t->nll_a / (double)t->n_next);
    out->ppl_b = exp(t->nll_b / (double)t->n_next);
}

void peer_compare(const float *a, const float *b, const int32_t *token, size_t n, size_t n_vocab,
                  peer_distance *out)
{
    peer_tally t = {0};
    for (size_t i = 0; i < n; i++)
        peer_tally_row(&t, a + i * n_vocab, b + i * n_vocab, n_vocab,
                       i + 1 < n ? token[i + 1] : -1);
    peer_tally_end(&t, out);
}
