/* trial.c: readings, forks and steps side by side (trial.h). */
#include "eval/trial.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "eval/trial_internal.h"
#include "infer/session_internal.h"

enum { N_SIDE = 16 };

typedef mn__side_by_side side;
typedef mn__group group;

/* ---- life ---- */

static mn_status make_policy(mn__policy **out, const mn_model *m, const mn_session_params *session,
                             const mn__case *c, mn_diag *diag)
{
    mn__budget budget;
    mn_session_params resolved;
    mn_status st;
    mn__session_resolve(m, session, &resolved);
    MN_TRY(mn__session_check(&resolved, diag));
    const mn__cache_shape shape = mn__session_shape(m, &resolved);
    MN_TRY(mn__budget_parse(c->budget, &budget, diag));
    MN_TRY(mn__policy_new(out, c->policy, &budget, &shape, diag));
done:
    return st;
}

mn_status mn__case_check(const mn_model *m, const mn_session_params *session, const mn__case *c,
                         mn_diag *diag)
{
    mn__policy *policy = NULL;
    mn_status st = make_policy(&policy, m, session, c, diag);
    mn__policy_free(policy);
    return st == MN_EBUDGET ? MN_EUSAGE : st;
}

static mn_status look_at_case(mn__trial *t, size_t i, mn_diag *diag)
{
    const mn__case *c = &t->p.cases[i];
    mn__policy *policy = NULL;
    mn_status st;
    MN_TRY(make_policy(&policy, t->p.model, &t->p.session, c, diag));
    t->reader[i] = c->no_context || mn__policy_chunk(policy) != 0;
    if (!t->reader[i] && mn__policy_scorer(policy)) t->also[t->n_also++] = c->policy;
done:
    mn__policy_free(policy);
    return st;
}

mn_status mn__trial_new(mn__trial **out, const mn__trial_params *params, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__trial *t = mn__alloc_zero(MN_MEM_OTHER, sizeof *t);
    *out = NULL;
    if (params->n_side > MN__TRIAL_SIDES)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "at most %d sessions side by side", MN__TRIAL_SIDES));
    if (!t) return mn__fail(diag, MN_ENOMEM, "no memory for a trial");
    t->p = *params;
    if (!t->p.n_side) t->p.n_side = N_SIDE;
    t->reader = mn__alloc_zero(MN_MEM_OTHER, params->n_case * sizeof *t->reader);
    t->also = mn__alloc_array(MN_MEM_OTHER, params->n_case, sizeof *t->also);
    if (!t->reader || !t->also) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a trial"));
    for (size_t i = 0; i < params->n_case; i++) MN_TRY(look_at_case(t, i, diag));
    MN_TRY(mn__likely_init(&t->likely, &params->model->kern, params->model->n_vocab, diag));
    MN_TRY(mn_batch_new(&t->batch, params->model, &t->p.session, t->p.n_side + 1, diag));
    *out = t;
    t = NULL;
done:
    mn__trial_free(t);
    return st;
}

void mn__trial_free(mn__trial *t)
{
    if (!t) return;
    mn_session_free(t->own);
    mn_batch_free(t->batch);
    mn__likely_fini(&t->likely);
    mn__free(t->reader);
    mn__free(t->also);
    mn__free(t);
}

bool mn__trial_is_reader(const mn__trial *t, size_t i)
{
    return t->reader[i];
}

void mn__outcome_free(mn__outcome *o)
{
    mn__free(o->output);
    mn__free(o->nll);
    mn__free(o->kl);
    mn__free(o->choice);
    mn__free(o->kept);
    *o = (mn__outcome){0};
}

bool mn__trial_stopped(void *ctx)
{
    const mn__trial *t = ctx;
    return t->p.stop && t->p.stop(t->p.ctx);
}

static bool stop_reading(size_t done, size_t total, void *ctx)
{
    (void)done;
    (void)total;
    return mn__trial_stopped(ctx);
}

mn_status mn__trial_canceled(mn_diag *diag)
{
    return mn__fail(diag, MN_ECANCEL, "interrupted");
}

/* ---- reading ---- */

/* Tokens behind which policies act. */
static size_t cut_at(const mn__trial *t, const mn__reading *r)
{
    return t->p.evict_context && r->n_context ? r->n_context : r->n;
}

/* Up to the cut, where the policy acts, or what is behind it. */
static mn_status read_part(mn__trial *t, mn_session *s, const mn__reading *r, bool behind,
                           const float **logits, mn_diag *diag)
{
    size_t cut = cut_at(t, r), from = behind ? cut : 0, n = behind ? r->n - cut : cut;
    if (n == 0) return MN_OK;
    if (mn__trial_stopped(t)) return mn__trial_canceled(diag);
    mn_status st = mn_session_read(s, r->token + from, n, !behind, logits, stop_reading, t, diag);
    if (behind && mn__policy_acts_once(s->policy))
        mn__cache_close_ring(s->cache); /* it has acted */
    return st == MN_ECANCEL ? mn__trial_canceled(diag) : st;
}

/* The prompt up to the cut under the full cache, seen by all policies that go on from there. */
static mn_status read_base(mn__trial *t, const mn__reading *r, const float **logits, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_session_params p = t->p.session;
    double t0 = mn__clock_s();
    mn__based given;
    if (t->p.base) {
        MN_TRY(t->p.base(t->p.ctx, r, cut_at(t, r), &given, diag));
        t->base = given.session;
        *logits = given.logits;
    } else {
        p.policy = "full";
        p.budget = "";
        p.also = t->also;
        p.n_also = t->n_also;
        if (!t->own) MN_TRY(mn_session_new(&t->own, t->p.model, &p, diag));
        mn_session_clear(t->own);
        MN_TRY(read_part(t, t->own, r, false, logits, diag));
        t->base = t->own;
    }
    t->base_s = mn__clock_s() - t0;
done:
    return st;
}

enum { THE_FULL_CACHE = -1 };

static const mn__case full_cache = {.policy = "full", .budget = ""};

/* A session that stands before the answer: of case i, or of the full cache. */
static mn_status begin_case(mn__trial *t, int i, const mn__reading *r, side *x, mn_diag *diag)
{
    mn_status st = MN_OK;
    double t0 = mn__clock_s();
    const mn__case *c = i == THE_FULL_CACHE ? &full_cache : &t->p.cases[i];
    const bool reader = i != THE_FULL_CACHE && t->reader[i],
               prepare = i != THE_FULL_CACHE && t->p.prepare;
    mn_session_params p = t->p.session;
    p.policy = c->policy;
    p.budget = c->budget;
    if (reader)
        MN_TRY(mn_session_new(&x->s, t->p.model, &p, diag));
    else
        MN_TRY(mn_session_fork_under(&x->s, t->base, c->policy, c->budget, diag));
    if (prepare) MN_TRY(t->p.prepare(t->p.ctx, (size_t)i, x->s, diag));
    if (reader)
        MN_TRY(read_part(t, x->s, r, false, &x->logits, diag));
    else
        MN_TRY(mn_session_evict(x->s, diag));
    x->share_prompt = mn__share_held(x->s);
    MN_TRY(read_part(t, x->s, r, true, &x->logits, diag));
    x->read_s = mn__clock_s() - t0 + (reader ? 0 : t->base_s);
done:
    return st;
}

/* ---- a group of cases ---- */

static void clear_group(group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        mn__draft_free(&g->side[i].text);
        mn_session_free(g->side[i].s);
        g->side[i] = (side){0};
    }
    g->n = 0;
}

/* The full cache in front, whether or not it is asked for. */
static mn_status begin_group(group *g, const float *base_logits, mn__outcome *full, mn_diag *diag)
{
    side *x = &g->side[g->n++];
    *x = (side){.logits = base_logits, .out = full};
    return begin_case(g->t, THE_FULL_CACHE, &g->ask->reading[g->i_reading], x, diag);
}

/* One case more, or why it cannot be. */
static mn_status add_case(group *g, size_t i, const float *base_logits, mn__outcome *out,
                          mn_diag *diag)
{
    const mn__case *c = &g->t->p.cases[i];
    const mn__ask *ask = c->no_context ? g->bare : g->ask;
    side *x = &g->side[g->n];
    *x = (side){.logits = base_logits, .out = out};
    mn_status st = begin_case(g->t, (int)i, &ask->reading[g->i_reading % ask->n_reading], x, diag);
    if (st == MN_OK) {
        g->n++;
        return st;
    }
    mn_session_free(x->s);
    *x = (side){0};
    if (st != MN_EBUDGET) return st;
    snprintf(out->why, sizeof out->why, "%.255s", diag->text);
    return MN_OK;
}

static bool is_full(const mn__case *c)
{
    return !c->no_context && !*c->budget && !strcmp(c->policy, "full");
}

/* Does a wanted case go on from the full cache, or is compared with it? */
static bool needs_base(const mn__trial *t, const bool *want)
{
    for (size_t i = 0; i < t->p.n_case; i++)
        if (want[i] && !t->reader[i]) return true;
    return !t->p.alone;
}

/* False: none of its cases was wanted, or could be. */
static bool is_asked(const group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->side[i].out) return true;
    return false;
}

/* All wanted cases over one reading, a group at a time. */
static mn_status run_reading(group *g, const bool *want, mn__outcome *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    const float *logits = NULL;
    mn__outcome *full = NULL;
    const mn__trial_params *p = &g->t->p;
    const size_t n_most = p->n_side + !p->alone; /* the full cache beside the others */
    if (needs_base(g->t, want))
        MN_TRY(read_base(g->t, &g->ask->reading[g->i_reading], &logits, diag));
    for (size_t i = 0; i < p->n_case && !p->alone; i++)
        if (want[i] && is_full(&p->cases[i])) full = &out[i];
    for (size_t i = 0; i < p->n_case || full;) {
        if (!p->alone) MN_TRY(begin_group(g, logits, full, diag));
        full = NULL;
        for (; i < p->n_case && g->n < n_most; i++)
            if (want[i] && (p->alone || !is_full(&p->cases[i])) && !*out[i].why)
                MN_TRY(add_case(g, i, logits, &out[i], diag));
        if (is_asked(g)) MN_TRY(mn__group_answer(g, diag));
        clear_group(g);
    }
done:
    clear_group(g);
    return st;
}

static mn_status alloc_group(group *g, mn_diag *diag)
{
    size_t n = g->t->p.n_side + 1;
    g->side = mn__alloc_zero(MN_MEM_OTHER, n * sizeof *g->side);
    g->session = mn__alloc_array(MN_MEM_OTHER, n, sizeof *g->session);
    g->logits = mn__alloc_array(MN_MEM_OTHER, n, sizeof *g->logits);
    g->token = mn__alloc_array(MN_MEM_OTHER, n, sizeof *g->token);
    g->active = mn__alloc_array(MN_MEM_OTHER, n, sizeof *g->active);
    g->sum = mn__alloc_array(MN_MEM_OTHER, n, sizeof *g->sum);
    return g->side && g->session && g->logits && g->token && g->active && g->sum
               ? MN_OK
               : mn__fail(diag, MN_ENOMEM, "no memory for %zu sessions", n);
}

mn_status mn__trial_run(mn__trial *t, const mn__task *task, const mn__ask *ask, const mn__ask *bare,
                        const bool *want, mn__outcome *out, mn_diag *diag)
{
    mn_status st;
    group g = {.t = t, .task = task, .ask = ask, .bare = bare};
    MN_TRY(alloc_group(&g, diag));
    for (; g.i_reading < ask->n_reading; g.i_reading++) MN_TRY(run_reading(&g, want, out, diag));
    for (size_t i = 0; i < t->p.n_case; i++) out[i].done = want[i];
done:
    mn__free(g.side);
    mn__free(g.session);
    mn__free(g.logits);
    mn__free(g.token);
    mn__free(g.active);
    mn__free(g.sum);
    if (st != MN_OK)
        for (size_t i = 0; i < t->p.n_case; i++) mn__outcome_free(&out[i]);
    return st;
}
