/* rope.c: angles in double, because position times frequency of a long text leaves nothing of a
 * float's fraction. */
#include <math.h>
#include "tensor/rope.h"

static void fill_row(const mn__rope *r, int64_t pos, double magnitude, float *out)
{
    for (size_t c = 0; c < r->n_rot / 2; c++) {
        double sine, cosine;
        sincos((double)pos * r->freq[c], &sine, &cosine);
        out[2 * c] = (float)(magnitude * cosine);
        out[2 * c + 1] = (float)(magnitude * sine);
    }
}

void mn__rope_table(const mn__rope *r, int64_t pos0, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) fill_row(r, pos0 + (int64_t)i, r->magnitude, out + i * r->n_rot);
}

void mn__rope_delta(const mn__rope *r, int64_t delta, float *out)
{
    fill_row(r, delta, 1.0, out);
}
