/* namm_input.c: the inputs of a NAMM (namm_input.h, namm_inputs.def).
 *
 *   age       age = newest token's index - the token's; sin(age f_j) for all j, then cos(age f_j),
 *             f_j = base^(-j/h), j < h = dims/2
 *   recency   log(1 + age)/4 - 1, 2 age/N - 1, log(N)/2 - 3.5, N tokens of the text so far: age
 *             counts in the text, and survivors are fewer
 *   spectrum  namm_spectrum.h
 *   knorm, vnorm  log of the norm, less its mean over the lane
 *   onorm     the same of what the output projection makes of the value: |Wo[h] v|_2, the group's
 *             mean (gram.c)
 *   kdiff, vdiff  how little the key, the value is like the lane's others (unlike.c), less the mean
 *
 * State of a slot: float, running mean of attention (dc); float, sum of attention (observed);
 * ring and means (spectrum); each only where a group asks for it. */
#include "policy/namm_input.h"
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "policy/policy_kind.h"

enum { ROWS = 16, LOOK_BACK = 64, AGE_RUN = 64, MEAN_RUN = 512, NOWHERE = -1 };
#define LOG_EPS 1e-3f

typedef enum kind { AGE, RECENCY, SPECTRUM, KNORM, VNORM, ONORM, KDIFF, VDIFF, COLUMN } kind;
typedef enum source { W16, W64, ROW, DC, OBSERVED, N_SOURCE, NONE = 0 } source;
typedef enum spread { OWN, LAYER, ALL, N_SPREAD } spread;

typedef struct group {
    const char *name;
    kind kind;
    source source;
    spread spread;
    size_t pool, dims;
} group;

static const group groups[] = {
#define MN_NAMM_INPUT(name, kind, source, spread, pool, dims) \
    {name, kind, source, spread, pool, dims},
#include "policy/namm_inputs.def"
#undef MN_NAMM_INPUT
};
enum { N_GROUP = sizeof groups / sizeof groups[0] };

struct mn__namm_input {
    const mn__namm *namm;
    mn__namm_stft stft; /* basis NULL: no spectrum */
    const group *group[MN__NAMM_INPUTS];
    size_t n_in, slot_bytes, stft_at, observed_at;
    int column[N_SOURCE][N_SPREAD]; /* which of a room's columns, NOWHERE: not needed */
    int n_column;
    bool has_dc, has_observed, has_norms, has_gram, has_diffs;
    double *turn; /* [AGE_RUN][age_dim/2][2] sine and cosine of small ages */
};

/* ---- which groups ---- */

static const group *find_group(const char *name)
{
    for (size_t i = 0; i < N_GROUP; i++)
        if (strcmp(groups[i].name, name) == 0) return &groups[i];
    return NULL;
}

static size_t dims_of(const mn__namm *namm, const group *g)
{
    if (g->kind == AGE) return namm->age_dim;
    return g->kind == SPECTRUM ? namm->spectrum.window / 2 + 1 : g->dims;
}

size_t mn__namm_group_dims(const mn__namm *namm, const char *name)
{
    const group *g = find_group(name);
    return g ? dims_of(namm, g) : 0;
}

static mn_status unknown(const char *name, mn_diag *diag)
{
    const char *names[N_GROUP + 1] = {0};
    for (size_t i = 0; i < N_GROUP; i++) names[i] = groups[i].name;
    const char *near = mn__nearest(name, names);
    return near ? mn__fail(diag, MN_EINPUT, "unknown input `%s`: `%s`?", name, near)
                : mn__fail(diag, MN_EINPUT, "unknown input `%s`", name);
}

/* Running means are of every query. */
static mn_status check_stride(const mn__namm_input *in, mn_diag *diag)
{
    const size_t stride = in->namm->stride;
    bool is_one = stride == 1;
    for (size_t i = 0; i < in->namm->n_group && !is_one; i++)
        if (!stride || in->group[i]->kind == SPECTRUM || in->group[i]->source == DC)
            return mn__fail(diag, MN_EINPUT,
                            "a stride of %zu: 1 wanted where running means or spectra are inputs",
                            stride);
    return MN_OK;
}

static mn_status read_groups(mn__namm_input *in, mn_diag *diag)
{
    const mn__namm *namm = in->namm;
    if (namm->n_group < 1 || namm->n_group > MN__NAMM_INPUTS)
        return mn__fail(diag, MN_EINPUT, "1 to %d inputs wanted, %zu found", MN__NAMM_INPUTS,
                        namm->n_group);
    for (size_t i = 0; i < namm->n_group; i++) {
        const group *g = in->group[i] = find_group(namm->group[i]);
        if (!g) return unknown(namm->group[i], diag);
        for (size_t j = 0; j < i; j++)
            if (in->group[j] == g)
                return mn__fail(diag, MN_EINPUT, "input `%s` stands there twice", g->name);
        if (g->kind == AGE && (namm->age_dim < 2 || namm->age_dim % 2 || !(namm->age_base > 1)))
            return mn__fail(diag, MN_EINPUT,
                            "input `age`: an even number of columns and a base above 1 wanted, "
                            "%zu and %g found",
                            namm->age_dim, namm->age_base);
        in->n_in += dims_of(namm, g);
    }
    if (in->n_in != namm->net.n_in)
        return mn__fail(diag, MN_EINPUT, "the network reads %zu columns, its inputs have %zu",
                        namm->net.n_in, in->n_in);
    return check_stride(in, diag);
}

static void take_column(mn__namm_input *in, source s, spread p)
{
    if (in->column[s][p] == NOWHERE) in->column[s][p] = in->n_column++;
}

static void plan_groups(mn__namm_input *in)
{
    memset(in->column, NOWHERE, sizeof in->column); /* all bits set */
    for (size_t i = 0; i < in->namm->n_group; i++) {
        const group *g = in->group[i];
        in->has_norms |= g->kind == KNORM || g->kind == VNORM || g->kind == ONORM;
        in->has_gram |= g->kind == ONORM;
        in->has_diffs |= g->kind == KDIFF || g->kind == VDIFF;
        if (g->kind != COLUMN) continue;
        in->has_dc |= g->source == DC;
        in->has_observed |= g->source == OBSERVED;
        take_column(in, g->source, OWN); /* what the means are made of */
        take_column(in, g->source, g->spread);
    }
}

static bool has_kind(const mn__namm_input *in, kind k)
{
    for (size_t i = 0; i < in->namm->n_group; i++)
        if (in->group[i]->kind == k) return true;
    return false;
}

mn_status mn__namm_inputs_check(const mn__namm *namm, mn_diag *diag)
{
    mn__namm_input in = {.namm = namm};
    mn_status st = read_groups(&in, diag);
    return st == MN_OK && has_kind(&in, SPECTRUM) ? mn__namm_stft_check(&namm->spectrum, diag) : st;
}

/* Ages are taken apart into a multiple of AGE_RUN and a rest, whose turns are known. */
static mn_status fill_turns(mn__namm_input *in, mn_diag *diag)
{
    size_t half = in->namm->age_dim / 2;
    in->turn = mn__alloc_array(MN_MEM_POLICY, AGE_RUN * half * 2, sizeof *in->turn);
    if (!in->turn) return mn__fail(diag, MN_ENOMEM, "out of memory for the ages of tokens");
    for (size_t age = 0; age < AGE_RUN; age++)
        for (size_t j = 0; j < half; j++) {
            double freq = pow(in->namm->age_base, -(double)j / (double)half);
            in->turn[(age * half + j) * 2] = sin((double)age * freq);
            in->turn[(age * half + j) * 2 + 1] = cos((double)age * freq);
        }
    return MN_OK;
}

mn_status mn__namm_input_new(mn__namm_input **out, const mn__namm *namm, bool half, mn_diag *diag)
{
    mn_status st;
    mn__namm_input *in = mn__alloc_zero(MN_MEM_POLICY, sizeof *in);
    if (!in) return mn__fail(diag, MN_ENOMEM, "out of memory for the inputs of a NAMM");
    in->namm = namm;
    MN_TRY(read_groups(in, diag));
    plan_groups(in);
    if (has_kind(in, AGE)) MN_TRY(fill_turns(in, diag));
    in->observed_at = in->has_dc ? sizeof(float) : 0;
    in->stft_at = in->observed_at + (in->has_observed ? sizeof(float) : 0);
    in->slot_bytes = in->stft_at;
    if (has_kind(in, SPECTRUM)) {
        MN_TRY(mn__namm_stft_init(&in->stft, &namm->spectrum, half, diag));
        in->slot_bytes += mn__namm_stft_bytes(&in->stft);
        if (in->stft_at) in->slot_bytes = (in->slot_bytes + 3) / 4 * 4; /* floats stay aligned */
    }
    *out = in;
    in = NULL;
done:
    mn__namm_input_free(in);
    return st;
}

void mn__namm_input_free(mn__namm_input *in)
{
    if (!in) return;
    mn__namm_stft_fini(&in->stft);
    mn__free(in->turn);
    mn__free(in);
}

/* The sources that look back from where the text ends: how many queries each. */
static const size_t looks_back[N_SOURCE] = {[W16] = 16, [W64] = 64, [ROW] = 1};

static size_t window_rows(const mn__namm_input *in)
{
    size_t most = 0;
    for (int s = 0; s < N_SOURCE; s++)
        if (in->column[s][OWN] != NOWHERE && looks_back[s] > most) most = looks_back[s];
    return most;
}

void mn__namm_input_ask(const mn__namm_input *in, mn__scorer *s)
{
    s->n_query_ring = window_rows(in);
    s->slot_bytes = in->slot_bytes;
    s->show_stride = in->namm->stride;
    s->needs = (s->n_query_ring ? MN__NEED_WINDOW : 0u) | (s->slot_bytes ? MN__NEED_COLUMNS : 0u) |
               (in->has_gram ? MN__NEED_GRAM : 0u);
}

size_t mn__namm_input_grain(const mn__namm_input *in)
{
    return in->stft.basis ? in->namm->spectrum.hop : 1;
}

bool mn__namm_input_compares(const mn__namm_input *in)
{
    for (int s = 0; s < N_SOURCE; s++)
        for (int p = LAYER; p < N_SPREAD; p++)
            if (in->column[s][p] != NOWHERE) return true;
    return false;
}

/* ---- while the model reads ---- */

/* mean = gamma mean + (1 - gamma) x at every row. */
static void observe_dc(const mn__namm_input *in, const mn__seen *seen, uint8_t *state)
{
    const mn__namm_spectrum *of = &in->namm->spectrum;
    float weight[ROWS];
    double part = 1 - of->gamma;
    mn__namm_row_weights(seen, of->by_length, weight);
    for (size_t r = seen->n_row; r-- > 0; part *= of->gamma) weight[r] *= (float)part;
    mn__namm_sum_observe(seen, weight, (float)pow(of->gamma, (double)seen->n_row), state,
                         in->slot_bytes);
}

void mn__namm_input_observe(const mn__namm_input *in, const mn__seen *seen, uint8_t *state)
{
    float weight[ROWS];
    if (in->has_dc) observe_dc(in, seen, state);
    if (in->has_observed && mn__is_shown(in->namm->stride, seen->token0)) {
        mn__namm_row_weights(seen, false, weight);
        mn__namm_sum_observe(seen, weight, 1, state + in->observed_at, in->slot_bytes);
    }
    if (in->stft.basis) mn__namm_stft_observe(&in->stft, seen, state + in->stft_at, in->slot_bytes);
}

/* ---- what one lane was paid ---- */

static float *column_at(const mn__namm_input *in, float *room, size_t n, source s, spread p)
{
    return room + (size_t)in->column[s][p] * mn__pad16(n);
}

size_t mn__namm_room_floats(const mn__namm_input *in, size_t n)
{
    return (size_t)in->n_column * mn__pad16(n);
}

static size_t row_floats(size_t n)
{
    return (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
}

size_t mn__namm_scratch_floats(const mn__namm_input *in, const mn__cache_shape *shape, size_t n)
{
    size_t look = window_rows(in) * row_floats(n),
           fill = in->has_norms ? mn__pad16(MN__PAGE_TOKENS * shape->head_dim) : 0;
    if (in->has_gram) fill += mn__gram_floats(shape->head_dim) + MN__PAGE_TOKENS;
    if (in->has_diffs && mn__unlike_floats(shape) > fill) fill = mn__unlike_floats(shape);
    return look > fill ? look : fill;
}

/* Means over the last queries and the group's heads, p [n_row][ld] at a time. */
static void look_back(const mn__namm_input *in, const mn__score_view *v, float *room, float *p)
{
    const mn__cache *c = v->cache;
    size_t n_group = c->shape.n_head / c->shape.n_kv_head, ld = row_floats(v->n);
    float weight[LOOK_BACK];
    for (int s = 0; s < N_SOURCE; s++)
        if (looks_back[s] && in->column[s][OWN] != NOWHERE)
            memset(column_at(in, room, v->n, (source)s, OWN), 0, v->n * sizeof *room);
    for (size_t g = 0; g < n_group; g++) {
        size_t n = mn__cache_window_probs(c, v->layer, v->head * n_group + g, window_rows(in),
                                          v->softmax_scale, p, ld);
        for (int s = 0; s < N_SOURCE; s++) {
            size_t m = looks_back[s] < n ? looks_back[s] : n;
            if (!m || in->column[s][OWN] == NOWHERE) continue;
            for (size_t r = 0; r < m; r++) weight[r] = 1 / (float)(m * n_group);
            c->kern->colsum(column_at(in, room, v->n, (source)s, OWN), p + (n - m) * ld, ld, weight,
                            m, v->n);
        }
    }
}

static float slot_float(const mn__score_view *v, const mn__namm_input *in, size_t i, size_t at)
{
    float x;
    memcpy(&x, v->state + i * in->slot_bytes + at, sizeof x);
    return x;
}

static void look_dc(const mn__namm_input *in, const mn__score_view *v, float *out)
{
    const mn__namm_spectrum *of = &in->namm->spectrum;
    for (size_t i = 0; i < v->n; i++) {
        double scale = 1;
        if (of->corrected) scale /= 1 - pow(of->gamma, (double)(v->cache->n_seen - v->token[i]));
        out[i] = (float)((double)slot_float(v, in, i, 0) * scale);
    }
}

/* Queries before `end` that are summed up. */
static int64_t n_summed(const mn__namm_input *in, int64_t end)
{
    int64_t run = MN__SHOW_ROWS * (int64_t)in->namm->stride, rest = end % run;
    return end / run * MN__SHOW_ROWS + (rest < MN__SHOW_ROWS ? rest : MN__SHOW_ROWS);
}

static void look_observed(const mn__namm_input *in, const mn__score_view *v, float *out)
{
    int64_t all = n_summed(in, v->cache->n_seen);
    for (size_t i = 0; i < v->n; i++) {
        int64_t n = all - n_summed(in, v->token[i]); /* none: nothing was summed either */
        out[i] = slot_float(v, in, i, in->observed_at) / (float)(n > 0 ? n : 1);
    }
}

void mn__namm_input_look(const mn__namm_input *in, const mn__score_view *v, float *room,
                         float *scratch)
{
    if (window_rows(in)) look_back(in, v, room, scratch);
    if (in->has_dc) look_dc(in, v, column_at(in, room, v->n, DC, OWN));
    if (in->has_observed) look_observed(in, v, column_at(in, room, v->n, OBSERVED, OWN));
}

/* ---- means over lanes ---- */

/* First slot whose token is not below `token`. */
static size_t slot_of(const mn__score_view *v, int64_t token)
{
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->token[mid] < token)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Tokens [token0, token0 + MEAN_RUN): sums by token, over lanes in their order. */
static void mean_run(const mn__namm_input *in, const mn__score_lane *lane, size_t n_lane, source s,
                     spread p, int64_t token0)
{
    double sum[MEAN_RUN] = {0};
    uint32_t count[MEAN_RUN] = {0};
    for (int write = 0; write < 2; write++)
        for (size_t l = 0; l < n_lane; l++) {
            const mn__score_view *v = &lane[l].view;
            if (lane[l].spared) continue;
            const float *x = column_at(in, v->scratch, v->n, s, OWN);
            float *out = column_at(in, v->scratch, v->n, s, p);
            for (size_t i = slot_of(v, token0);
                 i < v->n && v->token[i] < token0 + (int64_t)MEAN_RUN; i++) {
                size_t t = (size_t)(v->token[i] - token0);
                if (write) {
                    out[i] = (float)(sum[t] / count[t]);
                } else {
                    sum[t] += (double)x[i];
                    count[t]++;
                }
            }
        }
}

void mn__namm_input_share(const mn__namm_input *in, const mn__crew *crew,
                          const mn__score_lane *lane, size_t n_lane)
{
    const mn__cache *c = lane[0].view.cache;
    size_t n_head = c->shape.n_kv_head, n_layer = n_lane / n_head,
           n_run = ((size_t)c->n_seen + MEAN_RUN - 1) / MEAN_RUN;
    for (size_t item; (item = mn__team_claim(crew)) < n_run * (n_layer + 1);) {
        size_t layer = item / n_run; /* the last one stands for all of them */
        int64_t token0 = (int64_t)(item % n_run * MEAN_RUN);
        for (int s = 0; s < N_SOURCE; s++) {
            if (layer < n_layer && in->column[s][LAYER] != NOWHERE)
                mean_run(in, lane + layer * n_head, n_head, (source)s, LAYER, token0);
            if (layer == n_layer && in->column[s][ALL] != NOWHERE)
                mean_run(in, lane, n_lane, (source)s, ALL, token0);
        }
    }
}

/* ---- rows ---- */

/* One group's columns of x, `ld` apart. */
typedef struct sheet {
    const mn__namm_input *in;
    const mn__score_view *v;
    float *x;
    size_t ld;
    float *room, *scratch;
} sheet;

static int64_t age_of(const mn__score_view *v, size_t i)
{
    return (int64_t)v->token[v->n - 1] - v->token[i];
}

static void fill_age(const sheet *t)
{
    size_t half = t->in->namm->age_dim / 2;
    for (size_t j = 0; j < half; j++) {
        double freq = pow(t->in->namm->age_base, -(double)j / (double)half), si = 0, co = 1;
        int64_t run = 0;
        for (size_t i = 0; i < t->v->n; i++) {
            int64_t age = age_of(t->v, i);
            const double *rest = t->in->turn + ((size_t)(age % AGE_RUN) * half + j) * 2;
            if (age / AGE_RUN != run) {
                run = age / AGE_RUN;
                si = sin((double)(run * AGE_RUN) * freq);
                co = cos((double)(run * AGE_RUN) * freq);
            }
            t->x[i * t->ld + j] = (float)(si * rest[1] + co * rest[0]);
            t->x[i * t->ld + half + j] = (float)(co * rest[1] - si * rest[0]);
        }
    }
}

static void fill_recency(const sheet *t)
{
    double n = (double)t->v->cache->n_seen;
    for (size_t i = 0; i < t->v->n; i++) {
        double age = (double)age_of(t->v, i);
        t->x[i * t->ld] = (float)(log(1 + age) / 4 - 1);
        t->x[i * t->ld + 1] = (float)(2 * age / n - 1);
        t->x[i * t->ld + 2] = (float)(log(n) / 2 - 3.5);
    }
}

static void fill_spectrum(const sheet *t)
{
    const mn__namm_stft *s = &t->in->stft;
    for (size_t i = 0; i < t->v->n; i++)
        mn__namm_stft_read(s, t->v->state + i * t->in->slot_bytes + t->in->stft_at, t->v->token[i],
                           t->v->cache->n_seen, t->x + i * t->ld);
}

static float log_norm(const float *x, size_t d)
{
    double sum = 0;
    for (size_t c = 0; c < d; c++) sum += (double)x[c] * (double)x[c];
    return (float)(0.5 * log(sum + 1e-30));
}

/* Logarithms of the norms of a page's rows in scratch: out [n] t->ld apart. */
static void page_norms(const sheet *t, kind of, size_t n, float *out)
{
    const mn__cache *c = t->v->cache;
    size_t d = c->shape.head_dim;
    float *norm = t->scratch + mn__pad16(MN__PAGE_TOKENS * d), *work = norm + MN__PAGE_TOKENS;
    if (of == ONORM)
        mn__gram_norms(t->v->gram, c->kern, t->v->layer, t->v->head, t->scratch, n, work, norm);
    for (size_t k = 0; k < n; k++)
        out[k * t->ld] = of == ONORM ? logf(norm[k] + 1e-30f) : log_norm(t->scratch + k * d, d);
}

/* A column less its mean over the lane. */
static void center(const sheet *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->v->n; i++) sum += (double)t->x[i * t->ld];
    for (size_t i = 0; i < t->v->n; i++) t->x[i * t->ld] -= (float)(sum / (double)t->v->n);
}

static void fill_norm(const sheet *t, kind of)
{
    const mn__cache *c = t->v->cache;
    const mn__lane *lane = mn__cache_lane(c, t->v->layer, t->v->head);
    for (size_t i = 0, n; i < t->v->n; i += n) {
        n = t->v->n - i < MN__PAGE_TOKENS ? t->v->n - i : MN__PAGE_TOKENS;
        mn__lane_read(c, lane, i, n, of == KNORM ? t->scratch : NULL,
                      of == KNORM ? NULL : t->scratch);
        page_norms(t, of, n, t->x + i * t->ld);
    }
    center(t);
}

static void fill_diff(const sheet *t, kind of)
{
    mn__unlike(t->v, of == VDIFF, t->scratch, t->x, t->ld);
    center(t);
}

/* Columns into logarithms, in place: pooling after or before is the same. */
static void take_logs(const mn__namm_input *in, const mn__score_view *v, float *room)
{
    for (int s = 0; s < N_SOURCE; s++)
        for (int p = 0; p < N_SPREAD; p++) {
            if (in->column[s][p] == NOWHERE) continue;
            bool scaled = s == DC && in->namm->spectrum.by_length;
            float *x = column_at(in, room, v->n, (source)s, (spread)p),
                  n = scaled ? 1 : (float)v->n;
            for (size_t i = 0; i < v->n; i++) x[i] = logf(n * x[i] + LOG_EPS);
        }
}

/* The largest of the neighbours, the token's own included. */
static void fill_column(const sheet *t, const group *g)
{
    const float *x = column_at(t->in, t->room, t->v->n, g->source, g->spread);
    size_t n = t->v->n, half = g->pool / 2;
    for (size_t i = 0; i < n; i++) {
        size_t begin = i > half ? i - half : 0, end = i + half + 1 < n ? i + half + 1 : n;
        float top = x[begin];
        for (size_t j = begin + 1; j < end; j++) top = x[j] > top ? x[j] : top;
        t->x[i * t->ld] = top;
    }
}

static void fill_group(const sheet *t, const group *g)
{
    switch (g->kind) {
    case AGE: fill_age(t); break;
    case RECENCY: fill_recency(t); break;
    case SPECTRUM: fill_spectrum(t); break;
    case KNORM:
    case VNORM:
    case ONORM: fill_norm(t, g->kind); break;
    case KDIFF:
    case VDIFF: fill_diff(t, g->kind); break;
    case COLUMN: fill_column(t, g); break;
    }
}

void mn__namm_input_fill(const mn__namm_input *in, const mn__score_view *v, float *room, float *x,
                         float *scratch)
{
    sheet t = {.in = in, .v = v, .x = x, .ld = in->n_in, .room = room, .scratch = scratch};
    if (v->n == 0) return;
    take_logs(in, v, room);
    for (size_t i = 0; i < in->namm->n_group; i++) {
        fill_group(&t, in->group[i]);
        t.x += dims_of(in->namm, in->group[i]);
    }
    for (size_t i = 0; i < v->n; i++)
        for (size_t e = 0; e < in->n_in; e++)
            x[i * in->n_in + e] =
                (x[i * in->n_in + e] - in->namm->mean[e]) / in->namm->deviation[e];
}
