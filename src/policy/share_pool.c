/* share_pool.c: scores told to the other heads and to the neighbours. Facts are several tokens long
 * and are read by several heads in turn; both rules keep them whole. */
#include <math.h>
#include <string.h>
#include "policy/policy_kind.h"

static bool same_tokens(const mn__quota *q, size_t n_lane, const mn__quota *first)
{
    for (size_t l = 0; l < n_lane; l++)
        if (!q[l].spared && (q[l].n != first->n || memcmp(q[l].token, first->token,
                                                          first->n * sizeof *first->token) != 0))
            return false;
    return true;
}

/* All sum into the first lane's scores, which are then everyone's. */
static void share_aligned(mn__quota *q, size_t n_lane, const mn__quota *first)
{
    float *sum = first->score;
    size_t count = 0;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        count++;
        for (size_t i = 0; &q[l] != first && i < first->n; i++) sum[i] += q[l].score[i];
    }
    for (size_t i = 0; i < first->n; i++) sum[i] /= (float)count;
    for (size_t l = 0; l < n_lane; l++)
        if (!q[l].spared && &q[l] != first) memcpy(q[l].score, sum, first->n * sizeof *sum);
}

static bool is_at(const mn__quota *q, int64_t token)
{
    return !q->spared && q->cursor < q->n && q->token[q->cursor] == token;
}

/* The oldest token at the cursors; INT64_MAX at the end of all. */
static int64_t next_token(const mn__quota *q, size_t n_lane)
{
    int64_t token = INT64_MAX;
    for (size_t l = 0; l < n_lane; l++)
        if (!q[l].spared && q[l].cursor < q[l].n && q[l].token[q[l].cursor] < token)
            token = q[l].token[q[l].cursor];
    return token;
}

/* Lanes hold different tokens: walk them side by side; the mean is over those that hold the token.
 */
static void share_ragged(mn__quota *q, size_t n_lane)
{
    for (size_t l = 0; l < n_lane; l++) q[l].cursor = 0;
    for (int64_t token; (token = next_token(q, n_lane)) != INT64_MAX;) {
        float sum = 0;
        size_t count = 0;
        for (size_t l = 0; l < n_lane; l++)
            if (is_at(&q[l], token)) {
                sum += q[l].score[q[l].cursor];
                count++;
            }
        for (size_t l = 0; l < n_lane; l++)
            if (is_at(&q[l], token)) q[l].score[q[l].cursor++] = sum / (float)count;
    }
}

void mn__share_mean(mn__quota *q, size_t n_lane)
{
    const mn__quota *first = q;
    while (first < q + n_lane && first->spared) first++;
    if (first == q + n_lane) return;
    if (same_tokens(q, n_lane, first))
        share_aligned(q, n_lane, first);
    else
        share_ragged(q, n_lane);
}

void mn__pool_scores(float *score, size_t n, size_t kernel, bool avg, float *tmp)
{
    size_t half = kernel / 2;
    if (kernel < 2 || n == 0) return;
    memcpy(tmp, score, n * sizeof *score);
    for (size_t i = 0; i < n; i++) {
        size_t begin = i > half ? i - half : 0, end = i + half + 1 < n ? i + half + 1 : n;
        float x = avg ? 0 : -INFINITY;
        for (size_t j = begin; j < end; j++) x = avg ? x + tmp[j] : tmp[j] > x ? tmp[j] : x;
        score[i] = avg ? x / (float)kernel : x; /* the zeros beyond the border count */
    }
}
