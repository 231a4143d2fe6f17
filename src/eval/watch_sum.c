/* watch_sum.c: what was kept, by layer and by kind of token, and how scores were spread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/watch_internal.h"

size_t mn__watch_holders(const mn_watch *w, size_t token)
{
    size_t n = 0;
    for (size_t l = 0; l < w->n_lane; l++) n += mn__watch_holds(w, l, token);
    return n;
}

double mn__watch_drawn(const mn_watch *w, size_t token)
{
    double sum = 0;
    if (w->no_attention) return NAN;
    for (size_t l = 0; l < w->n_lane; l++) sum += (double)w->lane[l].drawn[token];
    return sum / (double)w->n_lane;
}

/* ---- one lane ---- */

typedef struct lane_sum {
    size_t n, n_late; /* held; of them in the last tenth */
    double age;       /* sum */
    size_t kind[MN__KIND_COUNT];
} lane_sum;

static lane_sum sum_lane(const mn_watch *w, const mn__watch_text *text, size_t lane)
{
    lane_sum s = {0};
    size_t late = w->n_token - w->n_token / 10;
    for (size_t t = 0; t < w->n_token; t++) {
        if (!mn__watch_holds(w, lane, t)) continue;
        s.n++;
        s.n_late += t >= late;
        s.age += (double)(w->n_token - 1 - t);
        s.kind[text->kind[t]]++;
    }
    return s;
}

/* ---- overlap ---- */

static double jaccard(const mn_watch *w, const lane_sum *sum, size_t a, size_t b)
{
    size_t both = 0;
    const uint16_t *x = w->lane[a].gone, *y = w->lane[b].gone;
    for (size_t t = 0; t < w->n_token; t++) both += !x[t] && !y[t];
    size_t any = sum[a].n + sum[b].n - both;
    return any ? (double)both / (double)any : 1;
}

/* Of random sets of these sizes. */
static double chance(const mn_watch *w, const lane_sum *sum, size_t a, size_t b)
{
    double x = (double)sum[a].n, y = (double)sum[b].n, both = x * y / (double)w->n_token;
    return x + y > 0 ? both / (x + y - both) : 1;
}

static void overlaps(const mn_watch *w, const lane_sum *sum, size_t i, mn__watch_layer *out)
{
    size_t N = w->info.n_kv_head, at = i * N, n_pair = 0;
    double heads = 0, random = 0, next = 0;
    for (size_t a = 0; a < N; a++)
        for (size_t b = a + 1; b < N; b++, n_pair++) {
            heads += jaccard(w, sum, at + a, at + b);
            random += chance(w, sum, at + a, at + b);
        }
    out->heads = n_pair ? heads / (double)n_pair : NAN;
    out->chance = n_pair ? random / (double)n_pair : NAN;
    for (size_t a = 0; i + 1 < w->n_full && a < N; a++)
        for (size_t b = 0; b < N; b++) next += jaccard(w, sum, at + a, at + N + b);
    out->next = i + 1 < w->n_full ? next / (double)(N * N) : NAN;
}

/* ---- layers ---- */

/* What n_lane lanes hold together, as figures. */
static void figures(const mn_watch *w, const mn__watch_text *text, const lane_sum *sum,
                    size_t n_lane, mn__watch_layer *out)
{
    size_t held = 0, late = 0, kind[MN__KIND_COUNT] = {0}, in_text[MN__KIND_COUNT] = {0};
    double age = 0;
    for (size_t l = 0; l < n_lane; l++) {
        held += sum[l].n;
        late += sum[l].n_late;
        age += sum[l].age;
        for (size_t k = 0; k < MN__KIND_COUNT; k++) kind[k] += sum[l].kind[k];
    }
    for (size_t t = 0; t < w->n_token; t++) in_text[text->kind[t]]++;
    double n = (double)held, n_token = (double)w->n_token;
    out->kept = n / (double)n_lane;
    out->share = out->kept / n_token;
    out->age = held ? age / n : NAN;
    out->last_tenth = held ? (double)late / n : NAN;
    for (size_t k = 0; k < MN__KIND_COUNT; k++)
        out->lift[k] =
            held && in_text[k] ? (double)kind[k] / n / ((double)in_text[k] / n_token) : NAN;
}

/* All members but the first are figures. */
enum {
    FIRST_FIGURE = offsetof(mn__watch_layer, kept),
    N_FIGURE = (sizeof(mn__watch_layer) - FIRST_FIGURE) / sizeof(double)
};

void mn__watch_mean(const mn__watch_layer *x, size_t n, size_t stride, mn__watch_layer *out)
{
    double mean[N_FIGURE];
    for (size_t k = 0; k < N_FIGURE; k++) {
        size_t count = 0;
        double sum = 0, v;
        for (size_t i = 0; i < n; i++) {
            memcpy(&v, (const char *)&x[i * stride] + FIRST_FIGURE + k * sizeof v, sizeof v);
            if (isnan(v)) continue;
            sum += v;
            count++;
        }
        mean[k] = count ? sum / (double)count : NAN;
    }
    memcpy((char *)out + FIRST_FIGURE, mean, sizeof mean);
    out->layer = n ? x->layer : 0;
}

mn_status mn__watch_sum(const mn_watch *w, const mn__watch_text *text, mn__watch_layer *out,
                        mn__watch_layer *all, mn_diag *diag)
{
    size_t N = w->info.n_kv_head;
    *all = (mn__watch_layer){0};
    if (!w->n_lane || !w->n_token) return MN_OK;
    lane_sum *sum = mn__alloc_array(MN_MEM_OTHER, w->n_lane, sizeof *sum);
    if (!sum) return mn__fail(diag, MN_ENOMEM, "no memory for the figures of a reading");
    for (size_t l = 0; l < w->n_lane; l++) sum[l] = sum_lane(w, text, l);
    for (size_t i = 0; i < w->n_full; i++) {
        out[i].layer = w->full[i];
        figures(w, text, sum + i * N, N, &out[i]);
        overlaps(w, sum, i, &out[i]);
    }
    mn__watch_mean(out, w->n_full, 1, all); /* of overlaps; the others follow from all lanes */
    figures(w, text, sum, w->n_lane, all);
    mn__free(sum);
    return MN_OK;
}

/* ---- scores ---- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The heads of a layer, and the last event that one of them has scores of. */
typedef struct head_scores {
    const mn__watch_lane *lane;
    size_t n;
    uint64_t event;
} head_scores;

static head_scores scores_of(const mn_watch *w, size_t i_full)
{
    head_scores s = {.lane = w->lane + i_full * w->info.n_kv_head, .n = w->info.n_kv_head};
    for (size_t h = 0; h < s.n; h++)
        if (s.lane[h].n_score && s.lane[h].score_event > s.event) s.event = s.lane[h].score_event;
    return s;
}

/* How many scores of that event head h has. */
static size_t count_scores(const head_scores *s, size_t h)
{
    return s->lane[h].score_event == s->event ? s->lane[h].n_score : 0;
}

/* Finite scores of tokens that were up for choice, sorted; the caller's. */
static float *sorted_scores(const head_scores *s, size_t *n)
{
    size_t most = 0;
    for (size_t h = 0; h < s->n; h++) most += count_scores(s, h);
    float *all = mn__alloc_array(MN_MEM_OTHER, most, sizeof *all);
    *n = 0;
    for (size_t h = 0; all && h < s->n; h++)
        for (size_t i = 0; i < count_scores(s, h); i++)
            if (isfinite(s->lane[h].score[i]) && s->lane[h].fate[i] != MN__FATE_PROTECTED)
                all[(*n)++] = s->lane[h].score[i];
    if (all) qsort(all, *n, sizeof *all, by_value);
    return all;
}

/* From the 1st to the 99th percentile, the threshold included; on a logarithm's scale where that
 * spans more than two decades above zero. */
static void set_range(mn__score_bins *b, const float *sorted, size_t n)
{
    b->any = n > 0;
    if (!n) return;
    b->lo = (double)sorted[n / 100];
    b->hi = (double)sorted[n - 1 - n / 100];
    if (b->has_threshold) {
        b->lo = fmin(b->lo, b->threshold);
        b->hi = fmax(b->hi, b->threshold);
    }
    if (!(b->hi > b->lo)) b->hi = b->lo + (b->lo ? fabs(b->lo) * 1e-3 : 1);
    b->log = b->lo > 0 && b->hi > 100 * b->lo;
}

static size_t bin_of(const mn__score_bins *b, double score)
{
    double at = b->log ? score > 0 ? log(score / b->lo) / log(b->hi / b->lo) : 0
                       : (score - b->lo) / (b->hi - b->lo);
    double bin = at * MN__SCORE_BINS;
    return bin < 0 ? 0 : bin >= MN__SCORE_BINS ? MN__SCORE_BINS - 1 : (size_t)bin;
}

static void count_head(const mn__watch_lane *lane, size_t n, mn__score_bins *out)
{
    for (size_t i = 0; i < n; i++)
        if (isfinite(lane->score[i]))
            out->count[lane->fate[i]][bin_of(out, (double)lane->score[i])]++;
        else
            out->n_infinite++;
}

mn_status mn__watch_scores(const mn_watch *w, size_t i_full, mn__score_bins *out, mn_diag *diag)
{
    size_t n;
    head_scores s = scores_of(w, i_full);
    *out = (mn__score_bins){.event = s.event};
    for (size_t h = 0; h < s.n; h++)
        if (count_scores(&s, h) && s.lane[h].has_threshold) {
            out->has_threshold = true;
            out->threshold = s.lane[h].threshold;
        }
    float *sorted = sorted_scores(&s, &n);
    if (!sorted)
        return mn__fail(diag, MN_ENOMEM, "no memory for the scores of layer %u", w->full[i_full]);
    set_range(out, sorted, n);
    mn__free(sorted);
    for (size_t h = 0; out->any && h < s.n; h++) count_head(&s.lane[h], count_scores(&s, h), out);
    return MN_OK;
}
