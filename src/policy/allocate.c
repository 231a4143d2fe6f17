/* allocate.c: who keeps how many. First every lane gets a real-valued wish (even, pyramid, or what
 * spared lanes leave over), which is fitted between what is protected and what is held and rounded
 * by largest remainder, so that the sum is exactly the budget. Then, for head-wise policies, the
 * lanes of a layer (or all) put their slots together and compete for them by score. */
#include <assert.h>
#include <math.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

static size_t bound_protect(const mn__quota *q)
{
    return q->protect;
}
static size_t bound_held(const mn__quota *q)
{
    return q->n;
}

static double clamped(const mn__quota *q, double f, size_t (*lo)(const mn__quota *),
                      size_t (*hi)(const mn__quota *))
{
    return fmin(fmax(q->want * f, (double)lo(q)), (double)hi(q));
}

static double sum_clamped(const mn__quota *q, size_t n_lane, double f,
                          size_t (*lo)(const mn__quota *), size_t (*hi)(const mn__quota *))
{
    double sum = 0;
    for (size_t l = 0; l < n_lane; l++) sum += q[l].spared ? 0 : clamped(&q[l], f, lo, hi);
    return sum;
}

/* Factor on all wishes at which the clamped ones sum to total: the sum grows with it, so halving
 * finds it. */
static double fit(const mn__quota *q, size_t n_lane, double total, size_t (*lo)(const mn__quota *),
                  size_t (*hi)(const mn__quota *))
{
    double below = 0, above = 1, sum = 0;
    for (size_t l = 0; l < n_lane; l++) sum += q[l].spared ? 0 : q[l].want;
    if (sum > 0 && fabs(sum_clamped(q, n_lane, total / sum, lo, hi) - total) < 1e-9 * total)
        return total / sum;
    while (above < 1e30 && sum_clamped(q, n_lane, above, lo, hi) < total) above *= 2;
    for (int step = 0; step < 200; step++) {
        double at = (below + above) / 2;
        if (sum_clamped(q, n_lane, at, lo, hi) < total)
            below = at;
        else
            above = at;
    }
    return above;
}

void mn__apportion(mn__quota *q, size_t n_lane, size_t total, size_t (*lo)(const mn__quota *),
                   size_t (*hi)(const mn__quota *))
{
    double f = fit(q, n_lane, (double)total, lo, hi);
    size_t given = 0;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        q[l].want = clamped(&q[l], f, lo, hi);
        q[l].keep = (size_t)floor(q[l].want + 1e-9);
        given += q[l].keep;
    }
    while (given != total) { /* at most one turn per lane */
        size_t best = n_lane;
        bool more = given < total;
        for (size_t l = 0; l < n_lane; l++) {
            if (q[l].spared || (more ? q[l].keep >= hi(&q[l]) : q[l].keep <= lo(&q[l]))) continue;
            double rest = q[l].want - (double)q[l].keep,
                   top = best < n_lane ? q[best].want - (double)q[best].keep : 0;
            if (best == n_lane || (more ? rest > top + 1e-9 : rest < top - 1e-9)) best = l;
        }
        if (best == n_lane) return; /* the bounds forbid total; the caller has checked */
        q[best].keep += more ? 1 : (size_t)-1;
        given += more ? 1 : (size_t)-1;
    }
}

double mn__pyramid_layer(const mn__policy *p, size_t i, size_t n_layer, double n, double w,
                         double mean)
{
    double c = p->pyramid_kvpress ? mean : mean - w, lo, hi;
    if (n_layer < 2 || c <= 0) return mean;
    lo = c / p->beta;
    hi = 2 * c - lo;
    if (hi >= n - w) {
        hi = n - w;
        lo = 2 * c - hi;
    }
    if (p->pyramid_kvpress && !(n >= hi && hi >= lo && lo >= w)) return mean;
    return hi - (double)i * (hi - lo) / (double)(n_layer - 1) + (p->pyramid_kvpress ? 0 : w);
}

static void wish_pyramid(const mn__policy *p, mn__quota *q, size_t n_lane, size_t total)
{
    size_t n_layer = 0, n_free = 0, n = 0, w = 0, i = 0;
    uint32_t last = UINT32_MAX;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        n_free++;
        n_layer += q[l].layer != last;
        last = q[l].layer;
        n = q[l].n > n ? q[l].n : n;
        w = q[l].n_tail > w ? q[l].n_tail : w;
    }
    last = UINT32_MAX;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        i += last != UINT32_MAX && q[l].layer != last;
        last = q[l].layer;
        double x =
            mn__pyramid_layer(p, i, n_layer, (double)n, (double)w, (double)total / (double)n_free);
        q[l].want = fmax(x, 1e-3);
    }
}

/* Shares of the file. They are of what was seen, not of what a lane still holds: after a second
 * event they are the same. The budget scales them. */
static void wish_profile(const mn__policy *p, mn__quota *q, size_t n_lane, size_t total,
                         size_t n_seen)
{
    size_t n_free = 0;
    for (size_t l = 0; l < n_lane; l++) n_free += !q[l].spared;
    double kept = n_seen ? (double)total / ((double)n_free * (double)n_seen) : 1;
    for (size_t l = 0; l < n_lane; l++)
        q[l].want = fmax(mn__profile_share(&p->profile, l, kept), 1e-6);
}

/* Spare the best-ranked heads: as many as the profile's option says, or as the budget allows when
 * the others get what is protected. */
static void spare_heads(const mn__policy *p, mn__quota *q, size_t n_lane, size_t *total)
{
    double full;
    const uint32_t *rank = p->base->rank(p->scorer, &full);
    bool limited = *total != SIZE_MAX;
    size_t n_full = full >= 0 ? (size_t)(full * (double)n_lane + 0.5)
                    : limited ? n_lane
                              : (n_lane + 1) / 2;
    size_t used = 0;
    for (size_t l = 0; l < n_lane; l++) used += q[l].protect;
    for (size_t i = 0; i < n_full; i++) {
        mn__quota *head = &q[rank[i]];
        size_t more = head->n - head->protect;
        if (full < 0 && limited && used + more > *total) break;
        used += more;
        head->spared = true;
    }
    if (!limited) *total = used;
}

static mn_status too_small(const mn__policy *p, const mn__quota *q, size_t n_lane, size_t total,
                           size_t need, mn_diag *diag)
{
    size_t spared = 0;
    for (size_t l = 0; l < n_lane; l++) spared += q[l].spared ? q[l].n : 0;
    return mn__fail(diag, MN_EBUDGET,
                    "policy %s: a budget of %zu tokens for %zu heads, but %zu must stay "
                    "(first tokens, newest, pinned%s)",
                    p->text, total, n_lane, need,
                    spared ? ", layers or heads that keep everything" : "");
}

mn_status mn__allocate(const mn__policy *p, mn__quota *q, size_t n_lane, size_t total,
                       size_t n_seen, mn_diag *diag)
{
    size_t need = 0, held = 0, spared = 0, n_free = 0;
    if (p->base->rank) spare_heads(p, q, n_lane, &total);
    for (size_t l = 0; l < n_lane; l++) {
        q[l].keep = q[l].n;
        held += q[l].n;
        need += q[l].spared ? q[l].n : q[l].protect;
        spared += q[l].spared ? q[l].n : 0;
        n_free += !q[l].spared;
    }
    if (held <= total) return MN_OK;
    if (need > total) return too_small(p, q, n_lane, total, need, diag);
    if (p->alloc == MN__ALLOC_PYRAMID || p->alloc == MN__ALLOC_PYRAMID_ADA)
        wish_pyramid(p, q, n_lane, total - spared);
    else if (p->alloc == MN__ALLOC_PROFILE)
        wish_profile(p, q, n_lane, total - spared, n_seen);
    else
        for (size_t l = 0; l < n_lane; l++) q[l].want = (double)(total - spared) / (double)n_free;
    mn__apportion(q, n_lane, total - spared, bound_protect, bound_held);
    return MN_OK;
}

/* Winners of a competition for m slots among all candidates of the lanes, added to keep. */
static void add_winners(mn__quota *q, size_t n_lane, size_t m)
{
    mn__pick pick = mn__pick_best(q, n_lane, m);
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        bool met = false;
        for (size_t i = 0; i < q[l].n; i++) {
            if (q[l].mask[i]) continue;
            uint64_t key = mn__pick_key(q[l].score[i] * q[l].gain, q[l].token[i]);
            bool equal = pick.n_equal &&
                         key == pick.key; /* tokens of a lane differ, so this is met once at most */
            met |= equal;
            q[l].keep += key > pick.key || equal;
        }
        pick.n_equal -= met;
    }
}

/* Ada-KV's normalisation: the mass of a head's best slots, as many as an even share gives it, over
 * the mass of all its candidates. Only what is above zero has mass. */
static float mass_gain(const mn__quota *q)
{
    mn__pick pick = mn__pick_best(q, 1, q->keep - q->protect);
    double best = 0, all = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->mask[i] || !(q->score[i] > 0)) continue;
        uint64_t key = mn__pick_key(q->score[i], q->token[i]);
        all += (double)q->score[i];
        if (key > pick.key || (pick.n_equal && key == pick.key)) best += (double)q->score[i];
    }
    return all > 0 && isfinite(all) ? (float)(best / all) : 1;
}

static size_t reserve_best(mn__quota *q, double alpha)
{
    size_t n = (size_t)((double)(q->keep - q->protect) * alpha);
    mn__pick pick = mn__pick_best(q, 1, n);
    mn__pick_mark(q, &pick, true, MN__MASK_CHOSEN);
    return n;
}

static void release(mn__quota *q)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->mask[i] == MN__MASK_CHOSEN) q->mask[i] = 0;
}

/* floor=mix: alpha of the even share and the rest of what was won. */
static void mix_floor(const mn__policy *p, mn__quota *q, size_t n_lane, size_t m)
{
    size_t total = m;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        double won = (double)(q[l].keep - q[l].protect), even = q[l].want;
        q[l].want = (double)q[l].protect + won * (1 - p->alpha) + even * p->alpha;
        total += q[l].protect;
    }
    mn__apportion(q, n_lane, total, bound_protect, bound_held);
}

void mn__allocate_compete(const mn__policy *p, mn__quota *q, size_t n_lane)
{
    size_t free_slots = 0, m = 0;
    for (size_t l = 0; l < n_lane; l++) {
        if (q[l].spared) continue;
        free_slots += q[l].keep - q[l].protect;
        q[l].want = (double)(q[l].keep - q[l].protect);
        float gain = p->by_mass ? mass_gain(&q[l]) : 1;
        size_t reserved = p->floor_mix ? 0 : reserve_best(&q[l], p->alpha);
        m += q[l].keep - q[l].protect - reserved;
        q[l].keep = q[l].protect + reserved;
        q[l].gain = gain;
    }
    add_winners(q, n_lane, m);
    if (p->floor_mix) mix_floor(p, q, n_lane, free_slots);
    for (size_t l = 0; l < n_lane; l++) {
        release(&q[l]);
        q[l].gain = 1; /* a lane chooses by its scores as they are */
    }
}
