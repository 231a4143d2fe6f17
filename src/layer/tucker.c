/* tucker.c: singular values of small cores, in double.
 * Ref: arXiv 2411.12364 (eq. of the auxiliary loss: L = 1/(r-1) sum_{i>=2} max(0, s_i - tau)^2). */
#include "layer/tucker.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { SWEEPS_MAX = 60 };

/* Turns columns p and q of a (kept as rows here) so that they stand at right angles, the longer
 * one first. false: they did already. */
static bool turn(double *a, double *right, size_t r, size_t p, size_t q)
{
    double *x = a + p * r, *y = a + q * r, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < r; i++) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    if (fabs(xy) <= 1e-16 * sqrt(xx * yy) && xx >= yy) return false;
    double angle = atan2(2 * xy, xx - yy) / 2, c = cos(angle), s = sin(angle);
    double *pair[2][2] = {{x, y}, {right + p * r, right + q * r}};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < r; i++) {
            double before = pair[k][0][i];
            pair[k][0][i] = c * before + s * pair[k][1][i];
            pair[k][1][i] = c * pair[k][1][i] - s * before;
        }
    return true;
}

void mn__tucker_svd(const double *c, size_t r, double *value, double *left, double *right)
{
    bool turned = true;
    memset(right, 0, r * r * sizeof *right);
    for (size_t i = 0; i < r; i++) {
        right[i * r + i] = 1;
        for (size_t j = 0; j < r; j++) left[j * r + i] = c[i * r + j];
    }
    /* Every turn puts the longer column first, so that the values come out sorted. */
    for (int sweep = 0; turned && sweep < SWEEPS_MAX; sweep++) {
        turned = false;
        for (size_t p = 0; p < r; p++)
            for (size_t q = p + 1; q < r; q++) turned |= turn(left, right, r, p, q);
    }
    for (size_t i = 0; i < r; i++) {
        double sum = 0;
        for (size_t j = 0; j < r; j++) sum += left[i * r + j] * left[i * r + j];
        value[i] = sqrt(sum);
        for (size_t j = 0; j < r; j++) left[i * r + j] = sum > 0 ? left[i * r + j] / value[i] : 0;
    }
    if (!(value[0] > 0)) left[0] = 1;
}

static void widen(const mn__real *from, size_t n, double *to)
{
    for (size_t i = 0; i < n; i++) to[i] = (double)from[i];
}

/* +1 or -1: which sign of (u, v) follows the old pair. */
static double sign_of(const double *u, const double *v, const mn__real *u0, const mn__real *v0,
                      size_t r)
{
    double sum = 0, as_is = 0, turned = 0;
    for (size_t i = 0; i < r; i++) sum += u[i];
    double first = sum < 0 ? -1 : 1;
    for (size_t i = 0; i < r; i++) {
        double a = first * u[i], b = first * v[i];
        as_is += fabs(a - (double)u0[i]) + fabs(b - (double)v0[i]);
        turned += fabs(a + (double)u0[i]) + fabs(b + (double)v0[i]);
    }
    return turned < as_is ? -first : first;
}

void mn__tucker_refresh(const mn__real *sum, size_t n_head, size_t r, mn__real *u, mn__real *v)
{
    enum { N = MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX };
    double c[N], left[N], right[N], value[MN__TUCKER_RANK_MAX];
    for (size_t h = 0; h < n_head; h++, u += r, v += r) {
        widen(sum + h * r * r, r * r, c);
        mn__tucker_svd(c, r, value, left, right);
        double sign = sign_of(left, right, u, v, r);
        for (size_t i = 0; i < r; i++) {
            u[i] = (mn__real)(sign * left[i]);
            v[i] = (mn__real)(sign * right[i]);
        }
    }
}

mn__real mn__tucker_loss(const mn__real *sum, size_t n_head, size_t r, double tau, double scale,
                         mn__real *g)
{
    enum { N = MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX };
    double c[N], left[N], right[N], value[MN__TUCKER_RANK_MAX], loss = 0;
    if (r < 2) return 0;
    double share = 1 / (double)(n_head * (r - 1));
    for (size_t h = 0; h < n_head; h++) {
        widen(sum + h * r * r, r * r, c);
        mn__tucker_svd(c, r, value, left, right);
        for (size_t i = 1; i < r; i++) {
            double over = value[i] - tau;
            if (!(over > 0)) continue;
            loss += share * over * over;
            for (size_t k = 0; g && k < r * r; k++)
                g[h * r * r + k] += (mn__real)(scale * 2 * share * over * left[i * r + k / r] *
                                               right[i * r + k % r]);
        }
    }
    return (mn__real)loss;
}
