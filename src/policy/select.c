/* select.c: the best m of any number of slots, without sorting, copying or luck. Score and token
 * become one 64-bit key whose order is the rule (higher score, then newer token); eleven bits of
 * the key at a time are counted until the key of the last winner is known. Cost: at most six passes
 * over the scores, whatever their values. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "policy/policy_kind.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

uint64_t mn__pick_key(float score, int32_t token)
{
    uint32_t bits;
    if (isnan(score)) score = -INFINITY;
    if (score == 0) score = 0; /* -0 and 0 are equal */
    memcpy(&bits, &score, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t)token;
}

/* Candidates whose key agrees with `prefix` above `shift + bits`, by their next digit. */
static void count_digits(const mn__quota *q, uint64_t prefix, unsigned shift, unsigned bits,
                         uint32_t *count)
{
    unsigned above = shift + bits;
    for (size_t i = 0; i < q->n; i++) {
        if (q->mask[i]) continue;
        uint64_t key = mn__pick_key(q->score[i] * q->gain, q->token[i]);
        if (above < 64 && (key ^ prefix) >> above) continue;
        count[key >> shift & ((1u << bits) - 1)]++;
    }
}

mn__pick mn__pick_best(const mn__quota *q, size_t n_lane, size_t m)
{
    mn__pick pick = {UINT64_MAX, 0};
    unsigned shift = 64;
    if (m == 0) return pick;
    uint64_t prefix = 0;
    while (shift > 0) {
        uint32_t count[DIGITS] = {0};
        unsigned bits = shift < DIGIT_BITS ? shift : DIGIT_BITS;
        shift -= bits;
        for (size_t l = 0; l < n_lane; l++)
            if (!q[l].spared) count_digits(&q[l], prefix, shift, bits, count);
        size_t digit = (size_t)1 << bits;
        while (m > count[--digit]) {
            m -= count[digit];
            assert(digit > 0); /* fewer candidates than m */
        }
        prefix |= (uint64_t)digit << shift;
        if (m == count[digit] && shift > 0) {
            /* All of this digit win: whatever follows in the key, it is above this. */
            pick.key = prefix - 1;
            return pick;
        }
    }
    pick.key = prefix;
    pick.n_equal = m;
    return pick;
}

bool mn__pick_mark(const mn__quota *q, const mn__pick *pick, bool take_equal, uint8_t bit)
{
    bool met = false;
    for (size_t i = 0; i < q->n; i++) {
        if (q->mask[i]) continue;
        uint64_t key = mn__pick_key(q->score[i] * q->gain, q->token[i]);
        bool equal = pick->n_equal && key == pick->key;
        met |= equal;
        if (key > pick->key || (equal && take_equal)) q->mask[i] = bit;
    }
    return met;
}

size_t mn__count_candidates(const mn__quota *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++) n += !q->mask[i];
    return n;
}

static void choose(mn__quota *q, size_t m)
{
    mn__pick pick = mn__pick_best(q, 1, m);
    mn__pick_mark(q, &pick, true, MN__MASK_CHOSEN);
}

/* Stage one by the score, stage two by score times what the output projection makes of the value.
 */
static void choose_critical(const mn__policy *p, mn__quota *q, size_t m, const float *value,
                            float *spare)
{
    size_t safe = m / 2;
    if (p->stage_all) /* half of all that stays; the protected come first */
        safe = q->keep / 2 > q->protect ? q->keep / 2 - q->protect : 0;
    choose(q, safe);
    for (size_t i = 0; i < q->n; i++) spare[i] = (q->score[i] + 1e-4f) * value[i];
    mn__quota second = *q;
    second.score = spare;
    choose(&second, m - safe);
}

/* m slots spread over stretches of `chunks` slots in proportion to their candidates: the share of
 * everything up to a stretch's end is rounded, so that the sum is exact; then at least one each
 * where that takes nothing from a stretch with one. */
static void choose_chunks(const mn__policy *p, mn__quota *q, size_t m)
{
    size_t n_cand = mn__count_candidates(q), seen = 0, given = 0;
    for (size_t at = 0; at < q->n; at += p->chunks) {
        mn__quota part = *q;
        part.n = q->n - at < p->chunks ? q->n - at : p->chunks;
        part.score += at;
        part.token += at;
        part.mask += at;
        size_t here = mn__count_candidates(&part);
        seen += here;
        size_t upto = n_cand ? (size_t)((double)m * (double)seen / (double)n_cand) : 0;
        if (upto == given && here && given < m && n_cand >= m) upto = given + 1;
        if (seen == n_cand) upto = m;
        if (upto < given) upto = given;
        size_t take = upto - given < here ? upto - given : here;
        choose(&part, take);
        given += take;
    }
    if (given < m) /* stretches too short for their share */
        choose(q, m - given);
}

/* Mean over the candidates of each group of slots, written to all of them, so that they win or lose
 * together. */
static size_t score_groups(const mn__policy *p, mn__quota *q, float *spare)
{
    size_t n_group = 0;
    for (size_t at = 0; at < q->n; at += p->group) {
        size_t end = at + p->group < q->n ? at + p->group : q->n, count = 0;
        double sum = 0;
        for (size_t i = at; i < end; i++)
            if (!q->mask[i]) {
                sum += q->score[i];
                count++;
            }
        n_group += count != 0;
        for (size_t i = at; i < end; i++) spare[i] = count ? (float)(sum / (double)count) : 0;
    }
    return n_group;
}

/* The best group that has a candidate left; -1: none. */
static int64_t best_group(const mn__policy *p, const mn__quota *q, const float *spare)
{
    int64_t best = -1;
    uint64_t best_key = 0;
    for (size_t i = 0; i < q->n; i++) {
        uint64_t key = mn__pick_key(spare[i], q->token[i]);
        if (!q->mask[i] && (best < 0 || key > best_key)) {
            best = (int64_t)(i / p->group);
            best_key = key;
        }
    }
    return best;
}

/* ChunkKV: max(1, int(groups * kept share)) whole groups, but never more slots than there are to
 * give. */
static void choose_groups(const mn__policy *p, mn__quota *q, size_t m, float *spare)
{
    size_t n_cand = mn__count_candidates(q), n_group = score_groups(p, q, spare);
    size_t n_take = n_cand ? (size_t)((double)n_group * (double)m / (double)n_cand) : 0;
    if (n_take == 0 && m > 0) n_take = 1;
    for (; n_take > 0 && m > 0; n_take--) {
        int64_t g = best_group(p, q, spare);
        if (g < 0) return;
        size_t begin = (size_t)g * p->group,
               end = begin + p->group < q->n ? begin + p->group : q->n;
        for (size_t i = begin; i < end && m > 0; i++)
            if (!q->mask[i]) {
                q->mask[i] = MN__MASK_CHOSEN;
                m--;
            }
    }
}

size_t mn__select(const mn__policy *p, mn__quota *q, const float *value, float *spare,
                  uint32_t *keep)
{
    assert(q->keep >= q->protect && q->keep <= q->n);
    size_t m = q->keep - q->protect;
    if (value)
        choose_critical(p, q, m, value, spare);
    else if (p->group)
        choose_groups(p, q, m, spare);
    else if (p->chunks)
        choose_chunks(p, q, m);
    else
        choose(q, m);
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        if (q->mask[i] & (MN__MASK_PROTECTED | MN__MASK_CHOSEN)) keep[n++] = (uint32_t)i;
    return n;
}
