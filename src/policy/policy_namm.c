/* policy_namm.c: a learned opinion: a small network reads what each token was paid, as a
 * spectrogram and as recent attention, and gives one score. Ref: arXiv 2410.13166.
 *
 *   x[i] = standardised inputs of token i, as the file names them (namm_input.c)
 *   S[i] = network(x)[i]     linear, MLP, mix, or attention over the lane's tokens (namm_net.c)
 *   rule=threshold: S < 0 is dropped by each head; layer: the paper's code; topk: by a budget
 *
 * State of a slot: as the inputs ask for it; 98 bytes for the paper's (W = 32, S = 16, bf16).
 * Deviations: rule=threshold drops what the paper's text says, where its code keeps as many in all
 * heads of a layer; sinks and recent tokens are protected; attention is f32 until it is kept.
 * A lane with a score that is none keeps everything.
 * scale=share: softmax of S over the lane, which is what a network fitted to shares of later
 * attention means by S. The order within a lane stays; heads can compete then (alloc=ada, global),
 * and values' norms weigh in (critical).
 * Needs: MN__NEED_COLUMNS, MN__NEED_WINDOW as the inputs ask for them. Cost: namm_spectrum.h while
 * reading; at an event the network, and a pass over all layers where inputs are means over them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "policy/namm_input.h"
#include "policy/namm_rows.h"
#include "policy/policy_kind.h"

typedef struct namm_scorer {
    mn__scorer scorer;
    const mn__namm *namm;
    mn__namm_input *input;
    mn__inputs_fn show; /* NULL: nobody looks */
    void *show_ctx;
    mn__namm_rows *rows; /* inputs of others of this file; NULL: none */
} namm_scorer;

static void observe(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    mn__namm_input_observe(((const namm_scorer *)s)->input, seen, state);
}

/* Rows of one lane, of the network's scratch and of the inputs'; the last two share a place. */
static size_t rows_floats(const namm_scorer *self, size_t n)
{
    return mn__pad16(n * self->namm->net.n_in);
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    const namm_scorer *self = (const namm_scorer *)s;
    size_t net = mn__namm_net_scratch(&self->namm->net, n),
           input = mn__namm_scratch_floats(self->input, shape, n);
    return rows_floats(self, n) + mn__pad16(net > input ? net : input) +
           mn__namm_room_floats(self->input, n);
}

static void become_shares(float *score, size_t n)
{
    double sum = 0;
    float top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i])) return;
        top = score[i] > top ? score[i] : top;
    }
    for (size_t i = 0; i < n; i++) sum += (double)(score[i] = expf(score[i] - top));
    for (size_t i = 0; i < n; i++) score[i] = (float)((double)score[i] / sum);
}

/* What another looked at is not looked at again. */
static bool is_written(const namm_scorer *self, const mn__score_view *v)
{
    return self->rows && mn__namm_rows_has(self->rows, v);
}

/* room: what the lane was paid, alone or beside others; nothing where its rows are written. */
static void score_rows(const namm_scorer *self, const mn__score_view *v, float *room,
                       float *scratch, float *score)
{
    const mn__namm *namm = self->namm;
    float *kept = self->rows ? mn__namm_rows_of(self->rows, v) : NULL, *x = kept ? kept : scratch,
          *rest = scratch + rows_floats(self, v->n);
    if (v->n == 0) return;
    if (!is_written(self, v)) mn__namm_input_fill(self->input, v, room, x, rest);
    if (kept) mn__namm_rows_written(self->rows, v);
    if (self->show) self->show(self->show_ctx, v, x);
    mn__namm_net_run(&namm->net, v->cache->kern, namm->param, x, v->n, NULL, score, NULL, rest);
    if (self->scorer.is_share) become_shares(score, v->n);
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    const namm_scorer *self = (const namm_scorer *)s;
    float *rest = v->scratch + mn__namm_room_floats(self->input, v->n);
    if (!is_written(self, v)) mn__namm_input_look(self->input, v, v->scratch, rest);
    score_rows(self, v, v->scratch, rest, out);
}

/* Means over lanes leave out those that are spared: all or none. */
static bool are_written(const namm_scorer *self, const mn__score_lane *lane, size_t n_lane)
{
    for (size_t l = 0; l < n_lane; l++)
        if (!lane[l].spared && !is_written(self, &lane[l].view)) return false;
    return self->rows != NULL;
}

static void look_at_all(const namm_scorer *self, const mn__crew *crew, const mn__score_lane *lane,
                        size_t n_lane, float *scratch)
{
    for (size_t l; (l = mn__team_claim(crew)) < n_lane;)
        if (!lane[l].spared)
            mn__namm_input_look(self->input, &lane[l].view, lane[l].view.scratch, scratch);
    mn__crew_meet(crew);
    mn__namm_input_share(self->input, crew, lane, n_lane);
    mn__crew_meet(crew);
}

static void score_all(const mn__scorer *s, const mn__crew *crew, const mn__score_lane *lane,
                      size_t n_lane, float *scratch)
{
    const namm_scorer *self = (const namm_scorer *)s;
    if (!are_written(self, lane, n_lane)) look_at_all(self, crew, lane, n_lane, scratch);
    for (size_t l; (l = mn__team_claim(crew)) < n_lane;)
        if (!lane[l].spared)
            score_rows(self, &lane[l].view, lane[l].view.scratch, scratch, lane[l].score);
}

static size_t lane_floats(const mn__scorer *s, size_t n)
{
    return mn__namm_room_floats(((const namm_scorer *)s)->input, n);
}

static void free_scorer(mn__scorer *s)
{
    namm_scorer *self = (namm_scorer *)s;
    mn__namm_input_free(self->input);
    mn__free(self);
}

/* A lane by itself, and lanes side by side. */
static const struct mn__scorer_ops alone = {.name = "namm",
                                            .observe = observe,
                                            .score = score,
                                            .scratch_floats = scratch_floats,
                                            .free = free_scorer},
                                   together = {.name = "namm",
                                               .observe = observe,
                                               .score_all = score_all,
                                               .lane_floats = lane_floats,
                                               .scratch_floats = scratch_floats,
                                               .free = free_scorer};

/* chunk and every as the file says, unless told otherwise. */
static void set_interval(mn__spec *s, const char *key)
{
    char value[32];
    snprintf(value, sizeof value, "%zu", s->namm ? s->namm->update : 0);
    if (strcmp(mn__spec_get(s, key), "file") == 0) mn__spec_set(s, key, value);
}

static mn_status open_file(mn__namm **file, mn__spec *s, mn_diag *diag)
{
    mn_status st = MN_OK;
    const char *value = mn__spec_get(s, "file");
    char label[MN__SPEC_VALUE];
    if (!s->namm && file) {
        if (!*value) return mn__fail(diag, MN_EUSAGE, "policy %s needs file=FILE: a NAMM", s->name);
        MN_TRY(mn__namm_open(file, value, diag));
        s->namm = *file;
        mn__namm_label(*file, value, label, sizeof label);
        mn__spec_set(s, "file", label); /* the policy's text holds no path */
    }
    if (s->namm && s->namm->options) st = mn__spec_default(s, s->namm->options, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__spec_get(s, "file"));
        goto done;
    }
    set_interval(s, "chunk");
    set_interval(s, "every");
done:
    return st;
}

/* Events fall on the ends of frames. */
static mn_status check_interval(const namm_scorer *self, const mn__spec *s, const char *key,
                                mn_diag *diag)
{
    const size_t grain = mn__namm_input_grain(self->input);
    size_t n = 0;
    mn_status st = mn__spec_size(s, key, 0, SIZE_MAX, &n, diag);
    if (st != MN_OK || n % grain == 0) return st;
    return mn__fail(diag, MN_EUSAGE,
                    "policy %s: %s is 0 or a multiple of the NAMM's hop (%zu), %zu found", s->name,
                    key, grain, n);
}

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    static const char *const states[] = {"bf16", "f32", NULL}, *const scales[] = {"raw", "share",
                                                                                  NULL};
    mn_status st;
    int f32 = 0, share = 0;
    namm_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    (void)shape;
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    MN_TRY(mn__spec_word(s, "state", states, &f32, diag));
    MN_TRY(mn__spec_word(s, "scale", scales, &share, diag));
    self->scorer.is_share = share != 0;
    self->scorer.ops = &alone;
    if (s->namm) {
        self->namm = s->namm;
        MN_TRY(mn__namm_input_new(&self->input, s->namm, !f32, diag));
        MN_TRY(check_interval(self, s, "chunk", diag));
        MN_TRY(check_interval(self, s, "every", diag));
        mn__namm_input_ask(self->input, &self->scorer);
        if (mn__namm_input_compares(self->input)) self->scorer.ops = &together;
    }
    *out = &self->scorer;
    self = NULL;
done:
    if (self) free_scorer(&self->scorer);
    return st;
}

const mn__policy_kind mn__kind_namm = {
    .make = make, .open = open_file, .own_rule = true, .on_grid = true, .keep_nan = true};

/* ---- evolution ---- */

static namm_scorer *scorer_of(const mn__policy *p)
{
    const bool is_namm = p->scorer && (p->scorer->ops == &alone || p->scorer->ops == &together);
    return is_namm ? (namm_scorer *)p->scorer : NULL;
}

size_t mn__policy_n_params(const mn__policy *p)
{
    return scorer_of(p) ? mn__namm_net_params(&scorer_of(p)->namm->net) : 0;
}

size_t mn__policy_n_inputs(const mn__policy *p)
{
    return scorer_of(p) ? scorer_of(p)->namm->net.n_in : 0;
}

mn_status mn__policy_set_params(mn__policy *p, const double *x, size_t n, mn_diag *diag)
{
    const size_t wanted = p->namm ? mn__policy_n_params(p) : 0;
    if (n != wanted)
        return mn__fail(diag, MN_EUSAGE, "policy %s: %zu parameters wanted, %zu found", p->text,
                        wanted, n);
    for (size_t i = 0; i < n; i++) p->namm->param[i] = (float)x[i];
    return MN_OK;
}

void mn__policy_copy_params(mn__policy *p, const mn__policy *from)
{
    const size_t n = mn__policy_n_params(p);
    if (p->namm && from->namm && mn__policy_n_params(from) == n)
        memcpy(p->namm->param, from->namm->param, n * sizeof *p->namm->param);
}

void mn__policy_show_inputs(mn__policy *p, mn__inputs_fn fn, void *ctx)
{
    namm_scorer *self = scorer_of(p);
    if (!self) return;
    self->show = fn;
    self->show_ctx = ctx;
}

void mn__policy_keep_inputs(mn__policy *p, mn__namm_rows *rows)
{
    namm_scorer *self = scorer_of(p);
    if (self) self->rows = rows;
}
