/* policy.c: a policy from its spec: protection, sharing, allocation, driver, and its scorer. */
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "policy/namm.h"
#include "policy/policy_kind.h"

enum { MAX_TOKENS = 1 << 30, MAX_REACH = 1 << 16 };

/* `32`, `50%` of the budget, or `window`: the number of queries the scorer looks back with. */
static mn_status read_recent(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    const char *text = mn__spec_get(s, "recent");
    if (p->judge && !mn__spec_is_given(s, "recent"))
        text = "128"; /* what is dropped by a threshold is dropped when it leaves this window */
    if (strcmp(text, "window") == 0 && mn__spec_get(s, "window"))
        return mn__spec_size(s, "window", 1, MAX_TOKENS, &p->recent, diag);
    char *end;
    double x = strtod(text, &end);
    if (end != text && strcmp(end, "%") == 0 && x >= 0 && x < 100) {
        p->recent_share = x / 100;
        return MN_OK;
    }
    unsigned long long n =
        *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : MAX_TOKENS + 1ull;
    if (*text == 0 || *end || n > MAX_TOKENS)
        return mn__fail(
            diag, MN_EUSAGE,
            "policy %s: recent is a number of tokens, a share below 100%% or `window`, `%s` found",
            s->name, text);
    p->recent = (size_t)n;
    return MN_OK;
}

/* `none`, `0`, `0+1`, `0/1`. */
static mn_status read_skip_layers(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    const char *text = mn__spec_get(s, "skip_layers");
    if (strcmp(text, "none") == 0) return MN_OK;
    for (char *end;; text = end + 1) {
        unsigned long long layer =
            *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : MAX_TOKENS;
        if (layer >= MAX_TOKENS || (*end && *end != '+' && *end != '/'))
            return mn__fail(diag, MN_EUSAGE,
                            "policy %s: skip_layers is `none` or layers as 0+1, `%s` found",
                            s->name, mn__spec_get(s, "skip_layers"));
        if (layer < p->n_layer) p->skip[layer] = 1;
        if (!*end) return MN_OK;
    }
}

static mn_status read_threshold(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    bool given = strcmp(mn__spec_get(s, "threshold"), "none") != 0;
    p->judge = given ? MN__JUDGE_ONCE : MN__JUDGE_NONE;
    return given ? mn__spec_real(s, "threshold", -1e30, 1e30, &p->threshold, diag) : MN_OK;
}

/* namm: what its scores decide. The newest token stays where they alone do. */
static mn_status read_own_rule(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    static const char *const rules[] = {"auto", "topk", "threshold", "layer", NULL};
    static const int judges[] = {MN__JUDGE_ALWAYS, MN__JUDGE_NONE, MN__JUDGE_ALWAYS,
                                 MN__JUDGE_LAYER};
    int rule = 0;
    if (!p->base->own_rule) return MN_OK;
    mn_status st = mn__spec_word(s, "rule", rules, &rule, diag);
    if (st != MN_OK) return st;
    if (rule == 0 && (p->budget.kind != MN__BUDGET_NONE || p->judge)) rule = 1;
    if (rule == 1) return MN_OK; /* the budget decides, and threshold= as for any policy */
    p->judge = judges[rule];
    if (p->recent < 1) p->recent = 1;
    return MN_OK;
}

static mn_status read_merge(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    static const char *const merges[] = {"none", "similar", "later", NULL};
    mn_status st;
    MN_TRY(mn__spec_word(s, "merge", merges, &p->merge, diag));
    MN_TRY(mn__spec_real(s, "merge_min", 0, 1, &p->merge_min, diag));
    MN_TRY(mn__spec_size(s, "merge_reach", 1, MAX_REACH, &p->merge_reach, diag));
done:
    return st;
}

/* A file that is given is read by someone, and who reads one is given it. */
static mn_status read_profile(mn__policy *p, const mn__spec *s, const mn__cache_shape *shape,
                              mn_diag *diag)
{
    const char *path = mn__spec_get(s, "profile");
    bool wanted = p->alloc == MN__ALLOC_PROFILE;
    if (p->base->own_profile && wanted)
        return mn__fail(diag, MN_EUSAGE,
                        "policy %s shares the budget out by its own profile, not by alloc=profile",
                        s->name);
    if (p->base->own_profile) return MN_OK;
    if (*path && !wanted)
        return mn__fail(diag, MN_EUSAGE,
                        "policy %s: profile=%s is read by alloc=profile, alloc=%s found", s->name,
                        path, mn__spec_get(s, "alloc"));
    if (!wanted || !shape) return MN_OK;
    if (!*path)
        return mn__fail(diag, MN_EUSAGE,
                        "policy %s: alloc=profile needs profile=FILE: one line per layer, one "
                        "share per KV head",
                        s->name);
    return mn__profile_read(&p->profile, path, shape, diag);
}

static mn_status read_allocation(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    static const char *const allocs[] = {"uniform",     "pyramid", "profile", "ada",
                                         "pyramid+ada", "global",  NULL};
    static const char *const floors[] = {"reserve", "mix", NULL}, *const rules[] = {
                                                                      "paper", "kvpress", NULL};
    static const char *const stages[] = {"free", "all", NULL}, *const norms[] = {"l1", "l2", NULL};
    int floor_mix = 0, rule = 0, stage = 0, norm = 0;
    size_t ada = 0, mass = 0;
    mn_status st;
    MN_TRY(mn__spec_word(s, "alloc", allocs, &p->alloc, diag));
    MN_TRY(mn__spec_word(s, "floor", floors, &floor_mix, diag));
    if (!p->base->own_rule) MN_TRY(mn__spec_word(s, "rule", rules, &rule, diag));
    MN_TRY(mn__spec_real(s, "alpha", 0, 1, &p->alpha, diag));
    MN_TRY(mn__spec_real(s, "beta", 1, 1e6, &p->beta, diag));
    MN_TRY(mn__spec_size(s, "mass", 0, 1, &mass, diag));
    if (p->kind->critical) {
        MN_TRY(mn__spec_word(s, "stage", stages, &stage, diag));
        MN_TRY(mn__spec_word(s, "norm", norms, &norm, diag));
        MN_TRY(mn__spec_size(s, "ada", 0, 1, &ada, diag));
        if (ada) p->alloc = p->alloc == MN__ALLOC_PYRAMID ? MN__ALLOC_PYRAMID_ADA : MN__ALLOC_ADA;
    }
    p->floor_mix = floor_mix;
    p->pyramid_kvpress = rule;
    p->stage_all = stage;
    p->norm_l2 = norm;
    p->by_mass = mass;
done:
    return st;
}

static mn_status read_pool(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    static const char *const modes[] = {"max", "avg", NULL};
    int avg = 0;
    mn_status st;
    MN_TRY(mn__spec_size(s, "pool", 1, 255, &p->pool, diag));
    MN_TRY(mn__spec_word(s, "poolmode", modes, &avg, diag));
    if (p->pool % 2 == 0)
        return mn__fail(diag, MN_EUSAGE, "policy %s: pool is an odd number, %zu found", s->name,
                        p->pool);
    p->pool_avg = avg;
    const char *order = mn__spec_get(s, "order");
    if (order && strcmp(order, "pool_first") == 0) p->pool = 1; /* the scorer does it */
done:
    return st;
}

static mn_status read_rules(mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    static const char *const shares[] = {"none", "layer", "all", NULL}, *const ofs[] = {
                                                                            "seen", "prompt", NULL};
    int of_prompt = 0;
    size_t skip = 0;
    mn_status st;
    MN_TRY(mn__spec_size(s, "sinks", 0, MAX_TOKENS, &p->sinks, diag));
    MN_TRY(read_threshold(p, s, diag));
    MN_TRY(read_recent(p, s, diag));
    MN_TRY(mn__spec_word(s, "share", shares, &p->share, diag));
    MN_TRY(read_pool(p, s, diag));
    MN_TRY(read_allocation(p, s, diag));
    MN_TRY(read_merge(p, s, diag));
    MN_TRY(read_skip_layers(p, s, diag));
    MN_TRY(mn__spec_size(s, "skip", 0, MAX_TOKENS, &skip, diag));
    MN_TRY(mn__spec_size(s, "chunk", 0, MAX_TOKENS, &p->chunk, diag));
    MN_TRY(mn__spec_size(s, "every", 0, MAX_TOKENS, &p->every, diag));
    MN_TRY(mn__spec_word(s, "of", ofs, &of_prompt, diag));
    MN_TRY(mn__spec_size(s, "group", 0, MAX_TOKENS, &p->group, diag));
    MN_TRY(mn__spec_size(s, "chunks", 0, MAX_TOKENS, &p->chunks, diag));
    MN_TRY(read_own_rule(p, s, diag));
    p->of_prompt = of_prompt;
    while (p->n_even < p->n_full && p->full[p->n_even] < skip) p->n_even++;
    if (p->judge == MN__JUDGE_ONCE && !p->every && !mn__spec_is_given(s, "every"))
        p->every = 64; /* what it judges leaves the window while writing too */
    if ((p->group != 0) + (p->chunks != 0) + p->kind->critical > 1)
        return mn__fail(
            diag, MN_EUSAGE,
            "policy %s: group, chunks and critical choose each in their own way; take one",
            s->name);
    if (p->group && p->alloc != MN__ALLOC_UNIFORM && p->alloc != MN__ALLOC_PYRAMID)
        return mn__fail(
            diag, MN_EUSAGE,
            "policy %s: group keeps the same tokens in all heads of a layer, alloc=%s does not",
            s->name, mn__spec_get(s, "alloc"));
    if (p->group && p->share == MN__SHARE_NONE) p->share = MN__SHARE_LAYER;
done:
    return st;
}

static mn_status bind_layers(mn__policy *p, const mn__cache_shape *shape, mn_diag *diag)
{
    p->n_layer = shape->n_layer;
    p->n_kv_head = shape->n_kv_head;
    p->head_dim = shape->head_dim;
    p->full = mn__alloc_array(MN_MEM_POLICY, shape->n_layer, sizeof *p->full);
    p->skip = mn__alloc_zero(MN_MEM_POLICY, shape->n_layer);
    if (!p->full || !p->skip)
        return mn__fail(diag, MN_ENOMEM, "out of memory for a policy of %zu layers",
                        shape->n_layer);
    for (size_t l = 0; l < shape->n_layer; l++)
        if (!shape->window || shape->window[l] == 0) p->full[p->n_full++] = (uint32_t)l;
    return MN_OK;
}

static mn_status read_scorer(mn__policy *p, const mn__spec *s, const mn__cache_shape *shape,
                             mn_diag *diag)
{
    mn_status st = read_rules(p, s, diag);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < p->n_full; i++) p->n_skip += p->skip[p->full[i]];
    MN_TRY(read_profile(p, s, shape, diag));
    MN_TRY(p->base->make(&p->scorer, s, shape, diag));
    if (p->kind->critical) p->scorer->needs |= MN__NEED_OUTPUT | (p->norm_l2 ? MN__NEED_GRAM : 0u);
    if (p->judge == MN__JUDGE_ONCE) {
        p->judged_at = (p->scorer->lane_bytes + 7) / 8 * 8;
        p->scorer->lane_bytes = p->judged_at + sizeof(int64_t);
    }
done:
    return st;
}

/* Do scores say what goes? No share is below 0, so nothing is below a threshold of 0 there. */
static bool judges(const mn__policy *p)
{
    return p->judge && (p->threshold > 0 || !p->scorer->is_share);
}

/* A budget, or scores that say what goes. */
static mn_status check_limit(const mn__policy *p, const mn__spec *s, mn_diag *diag)
{
    if (!p->scorer || p->base->rank || judges(p)) return MN_OK;
    if (p->budget.kind == MN__BUDGET_NONE)
        return mn__fail(
            diag, MN_EUSAGE,
            "policy %s needs a budget: tokens (2048), a share kept (25%%) or bytes (512M)%s",
            s->name,
            p->judge ? "; scale=share: no score is below 0, what a threshold would drop" : "");
    if (!p->judge) return MN_OK;
    return mn__fail(diag, MN_EUSAGE,
                    "policy %s: scale=share with rule=%s wants a threshold above 0: no score is "
                    "below it",
                    s->name, mn__spec_get(s, "rule"));
}

mn_status mn__policy_new(mn__policy **out, const char *spec, const mn__budget *budget,
                         const mn__cache_shape *shape, mn_diag *diag)
{
    return mn__policy_new_of(out, spec, NULL, budget, shape, diag);
}

mn_status mn__policy_new_of(mn__policy **out, const char *spec, const struct mn__namm *namm,
                            const mn__budget *budget, const mn__cache_shape *shape, mn_diag *diag)
{
    mn_status st;
    mn__policy *p = mn__alloc_zero(MN_MEM_POLICY, sizeof *p);
    mn__spec *s = mn__alloc(MN_MEM_OTHER, sizeof *s);
    *out = NULL;
    if (!p || !s) MN_TRY(mn__fail(diag, MN_ENOMEM, "out of memory for a policy"));
    MN_TRY(mn__spec_resolve(s, &p->kind, &p->base, spec, diag));
    s->namm = namm;
    if (p->base->open) MN_TRY(p->base->open(&p->namm, s, diag));
    if (budget) p->budget = *budget;
    MN_TRY(bind_layers(p, shape, diag));
    p->text = mn__spec_text(s);
    if (!p->text) MN_TRY(mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name));
    if (p->base->make) MN_TRY(read_scorer(p, s, shape, diag));
    MN_TRY(check_limit(p, s, diag));
    MN_TRY(mn__budget_bind(p, shape, diag));
    *out = p;
    p = NULL;
done:
    mn__free(s);
    mn__policy_free(p);
    return st;
}

void mn__policy_free(mn__policy *p)
{
    if (!p) return;
    if (p->scorer) p->scorer->ops->free(p->scorer);
    mn__namm_free(p->namm);
    mn__profile_free(&p->profile);
    mn__free(p->text);
    mn__free(p->full);
    mn__free(p->skip);
    mn__free(p);
}

/* Of no model. reads: a file that it names too; else it may be missing. */
static mn_status read_alone(mn__policy *p, const char *spec, bool reads, mn_diag *diag)
{
    mn_status st;
    mn__spec *s = mn__alloc(MN_MEM_OTHER, sizeof *s);
    if (!s) return mn__fail(diag, MN_ENOMEM, "out of memory for a policy");
    MN_TRY(mn__spec_resolve(s, &p->kind, &p->base, spec, diag));
    if (p->base->open) MN_TRY(p->base->open(reads ? &p->namm : NULL, s, diag));
    if (p->base->make) MN_TRY(read_scorer(p, s, NULL, diag));
done:
    mn__free(s);
    return st;
}

mn_status mn_policy_check(const char *spec, mn_diag *diag)
{
    mn__policy *p = mn__alloc_zero(MN_MEM_POLICY, sizeof *p);
    if (!p) return mn__fail(diag, MN_ENOMEM, "out of memory for a policy");
    mn_status st = read_alone(p, spec, false, diag);
    mn__policy_free(p);
    return st;
}

mn_status mn_policy_needs_budget(const char *spec, bool *needs, mn_diag *diag)
{
    mn__policy *p = mn__alloc_zero(MN_MEM_POLICY, sizeof *p);
    if (!p) return mn__fail(diag, MN_ENOMEM, "out of memory for a policy");
    mn_status st = read_alone(p, spec, true, diag);
    *needs = st == MN_OK && p->scorer && !p->base->rank && !judges(p);
    mn__policy_free(p);
    return st;
}

const mn__scorer *mn__policy_scorer(const mn__policy *p)
{
    return p->scorer;
}

const char *mn__policy_spec(const mn__policy *p)
{
    return p->text;
}

const char *mn__policy_nan_rule(const mn__policy *p)
{
    return p->base->keep_nan ? "heads with such scores kept all they held"
                             : "tokens with such scores went first";
}

bool mn__policy_compact_default(const mn__policy *p)
{
    return p->kind->compact || p->base->compact;
}

bool mn__policy_acts_once(const mn__policy *p)
{
    return p->scorer && !p->chunk && !p->every && p->budget.kind != MN__BUDGET_BYTES;
}

size_t mn__policy_chunk(const mn__policy *p)
{
    if (p->budget.kind != MN__BUDGET_BYTES) return p->chunk;
    return p->chunk && p->chunk < p->cap_step ? p->chunk : p->cap_step;
}

size_t mn__policy_protected(const mn__policy *p)
{
    size_t mean = p->budget.kind == MN__BUDGET_TOKENS ? p->budget.amount : p->cap_lane;
    return p->sinks + (p->recent_share > 0 ? (size_t)((double)mean * p->recent_share) : p->recent);
}

bool mn__policy_decides(const mn__policy *p)
{
    return p->judge != MN__JUDGE_NONE;
}

const uint32_t *mn__policy_full_layers(const mn__policy *p, size_t *n)
{
    *n = p->n_full;
    return p->full;
}
