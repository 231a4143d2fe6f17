/* trial_steps.c: the sessions of a group take the same steps in one pass over the weights: along a
 * gold answer, compared with the full cache at every token, and freely, each until it ends. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "eval/trial_internal.h"
#include "model/model.h"

typedef mn__side_by_side side;
typedef mn__group group;

/* ---- what the cache holds ---- */

static mn_status write_kept(const mn_model *m, const mn_session *s, char **out, mn_diag *diag)
{
    mn__draft text = {0};
    const int32_t *token;
    for (size_t l = 0; l < m->n_layer; l++) {
        mn__draft_str(&text, l ? "," : "[");
        for (size_t h = 0; m->window[l] == 0 && h < m->n_kv_head; h++)
            mn__draft_fmt(&text, "%s%zu", h ? "," : "[", mn_session_kept(s, l, h, &token));
        mn__draft_str(&text, m->window[l] == 0 ? "]" : "null");
    }
    mn__draft_str(&text, "]");
    if (text.failed) {
        mn__draft_free(&text);
        return mn__fail(diag, MN_ENOMEM, "no memory for a record");
    }
    *out = text.text;
    return MN_OK;
}

/* Bytes and tokens as they are when the answer begins. */
static mn_status note_cache(const mn__trial *t, const side *x, mn_diag *diag)
{
    mn__outcome *o = x->out;
    mn_session_info info;
    if (!o || o->kept) return MN_OK; /* of the first reading */
    mn_session_get_info(x->s, &info);
    o->share_prompt = x->share_prompt;
    o->share_answer = info.kept_share; /* until there are steps */
    o->kv_bytes = info.kv_bytes;
    o->policy_bytes = info.policy_bytes;
    o->peak_bytes = info.kv_peak_bytes;
    o->n_nan = info.n_nan_scores;
    o->nan_rule = info.nan_rule;
    o->read_s = x->read_s;
    return write_kept(t->p.model, x->s, &o->kept, diag);
}

/* ---- along a continuation ---- */

static mn_status walk_step(group *g, const int32_t *token, mn_diag *diag)
{
    if (mn__trial_stopped(g->t)) return mn__trial_canceled(diag);
    for (size_t i = 0; i < g->n; i++) {
        g->session[i] = g->side[i].walk;
        g->token[i] = *token;
    }
    return mn_batch_step(g->t->batch, g->session, g->token, g->n, g->logits, diag);
}

/* Sessions that may be used up: the prompt's own where nobody needs them afterwards. */
static mn_status begin_walk(group *g, bool last, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t i = 0; i < g->n && st == MN_OK; i++) {
        side *x = &g->side[i];
        if (last)
            x->walk = x->s;
        else
            st = mn_session_fork(&x->walk, x->s, diag);
        g->logits[i] = x->logits;
    }
    return st;
}

static void end_walk(group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        side *x = &g->side[i];
        if (x->walk != x->s) mn_session_free(x->walk);
        x->walk = NULL;
    }
}

/* One more continuation's likelihood per byte. */
static mn_status add_choice(mn__outcome *o, double nll, size_t n_byte, mn_diag *diag)
{
    if (MN__GROW(o->choice, o->n_choice, o->n_choice_cap) != MN_OK)
        return mn__fail(diag, MN_ENOMEM, "no memory for likelihoods");
    o->choice[o->n_choice++] = n_byte ? nll / (double)n_byte : NAN;
    return MN_OK;
}

static mn_status room_for_gold(mn__outcome *o, const mn__continuation *c, bool alone, mn_diag *diag)
{
    o->nll = mn__alloc_array(MN_MEM_OTHER, c->n, sizeof *o->nll);
    if (!alone) o->kl = mn__alloc_array(MN_MEM_OTHER, c->n, sizeof *o->kl);
    o->n_gold = c->n;
    o->gold_bytes = c->n_byte;
    o->greedy = true;
    return o->nll && (o->kl || alone) ? MN_OK
                                      : mn__fail(diag, MN_ENOMEM, "no memory for likelihoods");
}

/* Every cache's forecast of token i of the continuation, beside the full cache's; alone, beside
 * itself. */
static void compare(group *g, const mn__continuation *c, size_t i, bool right, double *sum)
{
    mn__likely *l = &g->t->likely;
    const bool alone = g->t->p.alone;
    if (!alone) mn__likely_set_full(l, g->logits[0]);
    for (size_t k = 0; k < g->n; k++) {
        double nll, kl;
        mn__outcome *o = g->side[k].out;
        if (!o) continue;
        if (alone) mn__likely_set_full(l, g->logits[k]);
        mn__likely_compare(l, g->logits[k], c->token[i], &nll, &kl);
        sum[k] += nll;
        if (!right) continue;
        o->nll[i] = (float)nll;
        if (o->kl) o->kl[i] = (float)kl;
        if (mn__likely_best(g->logits[k], l->n_vocab) != c->token[i]) o->greedy = false;
    }
}

static mn_status walk(group *g, const mn__continuation *c, bool right, bool last, mn_diag *diag)
{
    mn_status st = MN_OK;
    double *sum = g->sum;
    memset(sum, 0, g->n * sizeof *sum);
    for (size_t k = 0; right && k < g->n; k++)
        if (g->side[k].out) MN_TRY(room_for_gold(g->side[k].out, c, g->t->p.alone, diag));
    MN_TRY(begin_walk(g, last, diag));
    for (size_t i = 0; i < c->n; i++) {
        compare(g, c, i, right, sum);
        if (i + 1 < c->n) MN_TRY(walk_step(g, &c->token[i], diag));
    }
    for (size_t k = 0; k < g->n; k++)
        if (g->side[k].out) MN_TRY(add_choice(g->side[k].out, sum[k], c->n_byte, diag));
done:
    end_walk(g);
    return st;
}

/* ---- free writing ---- */

/* A record's text has no NUL. */
static void put_text(side *x, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i]) mn__draft_put(&x->text, text + i, 1);
}

static mn_status append(const mn__trial *t, side *x, int32_t token, mn_diag *diag)
{
    enum { PIECE_BYTES = 1024 };
    char piece[PIECE_BYTES], whole[MN__UTF8_BOUND(PIECE_BYTES)];
    mn_text_buf buf = {.data = piece, .cap = sizeof piece};
    mn_status st = mn_token_text(t->p.model, token, false, &buf, diag);
    if (st != MN_OK) return st;
    size_t n = buf.n <= buf.cap ? buf.n : 0;
    put_text(x, whole, mn__utf8_gate_push(&x->gate, piece, n, whole));
    x->n_token++;
    return x->text.failed ? mn__fail(diag, MN_ENOMEM, "no memory for an answer") : MN_OK;
}

static mn_status finish_text(side *x, mn_diag *diag)
{
    char rest[MN__UTF8_BOUND(0)];
    put_text(x, rest, mn__utf8_gate_flush(&x->gate, rest));
    x->out->output = x->text.text ? x->text.text : mn__strdup("");
    x->text = (mn__draft){0};
    return x->out->output ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for an answer");
}

/* A line was asked for, and it is there. */
static bool line_is_full(const mn__task *task, const side *x)
{
    const char *text = mn__draft_text(&x->text);
    return (task->rules & (MN__RULE_FIRST_LINE | MN__RULE_STOP_LINE)) &&
           strchr(text + strspn(text, "\n"), '\n');
}

/* Choose a token for each that still writes; those that go on come first in `active`. */
static mn_status choose(group *g, size_t *n_active, mn_diag *diag)
{
    size_t n = 0;
    for (size_t k = 0; k < *n_active; k++) {
        size_t i = g->active[k];
        side *x = &g->side[i];
        int32_t token = mn__likely_best(x->logits, g->t->likely.n_vocab);
        if (mn_token_is_end(g->t->p.model, token)) continue;
        mn_status st = append(g->t, x, token, diag);
        if (st != MN_OK) return st;
        if (x->n_token >= g->ask->max_new || line_is_full(g->task, x)) continue;
        g->token[n] = token;
        g->session[n] = x->s;
        g->active[n++] = i;
    }
    *n_active = n;
    return MN_OK;
}

static mn_status write_answers(group *g, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (g->side[i].out) g->active[n++] = i;
    while (true) {
        MN_TRY(choose(g, &n, diag));
        if (!n) break;
        if (mn__trial_stopped(g->t)) MN_TRY(mn__trial_canceled(diag));
        double t0 = mn__clock_s();
        MN_TRY(mn_batch_step(g->t->batch, g->session, g->token, n, g->logits, diag));
        double share = (mn__clock_s() - t0) / (double)n;
        for (size_t k = 0; k < n; k++) {
            side *x = &g->side[g->active[k]];
            x->logits = g->logits[k];
            x->out->write_s += share;
            x->share_sum += mn__share_held(x->s);
            x->n_step++;
        }
    }
    for (size_t i = 0; i < g->n; i++) {
        side *x = &g->side[i];
        if (!x->out) continue;
        x->out->n_generated = x->n_token;
        if (x->n_step) x->out->share_answer = x->share_sum / (double)x->n_step;
        MN_TRY(finish_text(x, diag));
    }
done:
    return st;
}

/* ---- all of it ---- */

mn_status mn__group_answer(group *g, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__reading *r = &g->ask->reading[g->i_reading];
    bool writes = g->ask->max_new > 0;
    for (size_t i = 0; i < g->n; i++) MN_TRY(note_cache(g->t, &g->side[i], diag));
    for (size_t k = 0; k < r->n_gold; k++)
        MN_TRY(walk(g, &r->gold[k], g->i_reading == g->ask->gold_reading && k == g->ask->gold,
                    !writes && k + 1 == r->n_gold, diag));
    if (writes) MN_TRY(write_answers(g, diag));
done:
    return st;
}
