/* sampler.c: the chain of libllama's samplers, in the order of its own default chain, on a
 * candidate array that is made once. The grammar stands outside the chain: checking one token is
 * cheap, checking all of a vocabulary is not, so a token is drawn first and all are checked only
 * when the grammar refuses it. */
#include "infer/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "llama.h"
#include "text/grammar.h"

#define LAST_N_MAX      (1 << 20)
#define BREAKER_MAX     256
#define TEMPERATURE_MIN 1e-6f /* below: greedy; logits of LOGIT_MAX divided by it stay finite */
#define LOGIT_MAX       1e30f

struct mn__sampler {
    const mn__vocab *vocab;
    struct llama_sampler *chain, *grammar; /* grammar: NULL if none */
    llama_token_data *data;                /* [n_token] candidates of one pick */
    size_t n_token;
    bool is_greedy;
    bool is_argmax; /* greedy and nothing else: no candidates needed */
};

void mn_sampler_params_default(mn_sampler_params *out)
{
    *out = (mn_sampler_params){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_last_n = 4096,
    };
}

/* ---- ranges ---- */

struct range {
    const char *name;
    double value, lo, hi;
};

mn_status mn_sampler_params_check(const mn_sampler_params *params, mn_diag *diag)
{
    const mn_sampler_params *p = params;
    const struct range ranges[] = {
        {"temperature", p->temperature, 0, 100},
        {"top_k", p->top_k, 0, INT32_MAX},
        {"top_p", p->top_p, 0, 1},
        {"min_p", p->min_p, 0, 1},
        {"repeat_penalty", p->repeat_penalty, 0.01, 100},
        {"repeat_last_n", p->repeat_last_n, 0, LAST_N_MAX},
        {"dry_multiplier", p->dry_multiplier, 0, 1000},
        {"dry_base", p->dry_base, 1, 100},
        {"dry_allowed_length", p->dry_allowed_length, 0, LAST_N_MAX},
        {"dry_last_n", p->dry_last_n, 0, LAST_N_MAX},
        {"n_dry_breaker", p->dry_breakers != NULL ? (double)p->n_dry_breaker : 0, 0, BREAKER_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].lo &&
              ranges[i].value <= ranges[i].hi)) /* NaN fails too */
            return mn__fail(diag, MN_EUSAGE, "%s: wanted %g to %g, found %g", ranges[i].name,
                            ranges[i].lo, ranges[i].hi, ranges[i].value);
    for (size_t i = 0; p->dry_breakers != NULL && i < p->n_dry_breaker; i++)
        if (p->dry_breakers[i] == NULL || p->dry_breakers[i][0] == '\0')
            return mn__fail(diag, MN_EUSAGE, "dry_breakers: entry %zu is empty", i);
    if (p->grammar != NULL && strlen(p->grammar) > MN__GRAMMAR_MAX_BYTES)
        return mn__fail(diag, MN_EUSAGE, "grammar: wanted at most %zu bytes, found %zu",
                        MN__GRAMMAR_MAX_BYTES, strlen(p->grammar));
    return MN_OK;
}

/* ---- making ---- */

/* libllama draws its own seed for one value: step around it. */
static uint32_t seed_fold(uint64_t seed)
{
    const uint32_t s = (uint32_t)(seed ^ (seed >> 32));
    return s == LLAMA_DEFAULT_SEED ? s - 1 : s;
}

static void chain_add(mn__sampler *s, struct llama_sampler *link)
{
    llama_sampler_chain_add(s->chain, link);
}

static void add_dry(mn__sampler *s, const mn_sampler_params *p)
{
    static const char *const usual[] = {"\n", ":", "\"", "*"};
    const char *list[BREAKER_MAX];
    const char *const *from = p->dry_breakers != NULL ? p->dry_breakers : usual;
    const size_t n = p->dry_breakers != NULL ? p->n_dry_breaker : sizeof usual / sizeof *usual;
    if (p->dry_multiplier == 0) return;
    memcpy(list, from, n * sizeof *list);
    chain_add(s, llama_sampler_init_dry(mn__vocab_llama(s->vocab), p->dry_multiplier, p->dry_base,
                                        p->dry_allowed_length, p->dry_last_n, list, n));
}

static void add_links(mn__sampler *s, const mn_sampler_params *p)
{
    if (p->repeat_penalty != 1 && p->repeat_last_n > 0)
        chain_add(s, llama_sampler_init_penalties((int32_t)s->n_token, p->repeat_last_n,
                                                  p->repeat_penalty, 0, 0));
    add_dry(s, p);
    if (s->is_greedy) {
        chain_add(s, llama_sampler_init_greedy());
        return;
    }
    if (p->top_k > 0) chain_add(s, llama_sampler_init_top_k(p->top_k));
    if (p->top_p < 1) chain_add(s, llama_sampler_init_top_p(p->top_p, 1));
    if (p->min_p > 0) chain_add(s, llama_sampler_init_min_p(p->min_p, 1));
    chain_add(s, llama_sampler_init_temp(p->temperature));
    chain_add(s, llama_sampler_init_dist(seed_fold(p->seed)));
}

static mn_status sampler_make(mn__sampler **out, const mn__vocab *vocab, mn_diag *diag)
{
    mn__sampler *s = mn__alloc_zero(MN_MEM_OTHER, sizeof *s);
    if (s == NULL) return mn__fail(diag, MN_ENOMEM, "no memory for a sampler");
    s->vocab = vocab;
    s->n_token = (size_t)mn__vocab_n_token(vocab);
    s->data = mn__alloc_array(MN_MEM_OTHER, s->n_token, sizeof *s->data);
    if (s->data == NULL) {
        mn__free(s);
        return mn__fail(diag, MN_ENOMEM, "no memory for the candidates of a sampler");
    }
    *out = s;
    return MN_OK;
}

mn_status mn__sampler_new(mn__sampler **out, const mn_sampler_params *params,
                          const mn__vocab *vocab, mn_diag *diag)
{
    mn_status st;
    mn__sampler *s = NULL;
    struct llama_sampler_chain_params chain = llama_sampler_chain_default_params();
    *out = NULL;
    MN_TRY(mn_sampler_params_check(params, diag));
    MN_TRY(sampler_make(&s, vocab, diag));
    s->is_greedy = params->temperature < TEMPERATURE_MIN;
    chain.no_perf = true;
    s->chain = llama_sampler_chain_init(chain);
    add_links(s, params);
    if (params->grammar != NULL && params->grammar[0] != '\0') {
        MN_TRY(mn__grammar_check(params->grammar, vocab, diag));
        mn__vocab_take_log();
        s->grammar = llama_sampler_init_grammar(mn__vocab_llama(vocab), params->grammar, "root");
        if (s->grammar == NULL)
            MN_TRY(mn__fail(diag, MN_EINPUT, "grammar: libllama refuses it: %s",
                            mn__vocab_take_log()));
    }
    s->is_argmax = s->is_greedy && s->grammar == NULL && llama_sampler_chain_n(s->chain) == 1;
    *out = s;
    s = NULL;
done:
    mn__sampler_free(s);
    return st;
}

void mn__sampler_free(mn__sampler *s)
{
    if (s == NULL) return;
    if (s->chain != NULL) llama_sampler_free(s->chain);
    if (s->grammar != NULL) llama_sampler_free(s->grammar);
    mn__free(s->data);
    mn__free(s);
}

/* ---- picking ---- */

static bool is_broken(float logit)
{
    return isnan(logit) || logit == INFINITY;
}

/* All tokens as candidates; *n_broken receives the logits that are no numbers. */
static llama_token_data_array candidates(mn__sampler *s, const float *logits, size_t *n_broken)
{
    *n_broken = 0;
    for (size_t i = 0; i < s->n_token; i++) {
        float x = logits[i];
        if (is_broken(x)) {
            x = -INFINITY;
            (*n_broken)++;
        } else if (isfinite(x)) {
            x = fminf(fmaxf(x, -LOGIT_MAX), LOGIT_MAX);
        }
        s->data[i] = (llama_token_data){.id = (llama_token)i, .logit = x, .p = 0};
    }
    return (llama_token_data_array){
        .data = s->data, .size = s->n_token, .selected = -1, .sorted = false};
}

static bool any_possible(const llama_token_data_array *c)
{
    for (size_t i = 0; i < c->size; i++)
        if (c->data[i].logit > -INFINITY) return true;
    return false;
}

static bool grammar_allows(const mn__sampler *s, int32_t token)
{
    llama_token_data one = {.id = token, .logit = 1, .p = 0};
    llama_token_data_array list = {.data = &one, .size = 1, .selected = -1, .sorted = false};
    if (s->grammar != NULL) llama_sampler_apply(s->grammar, &list);
    return one.logit > -INFINITY;
}

static mn_status none_possible(const mn__sampler *s, size_t n_broken, mn_diag *diag)
{
    return mn__fail(diag, MN_EFAIL,
                    "no token can be chosen: of %zu logits %zu are NaN or infinite, the rest -inf",
                    s->n_token, n_broken);
}

/* The first of the greatest, as libllama's greedy sampler. */
static mn_status pick_greatest(mn__sampler *s, const float *logits, int32_t *token, mn_diag *diag)
{
    float best = -INFINITY;
    size_t i_best = 0, n_broken = 0;
    for (size_t i = 0; i < s->n_token; i++) {
        n_broken += is_broken(logits[i]);
        if (logits[i] > best && logits[i] < INFINITY) best = logits[i_best = i];
    }
    if (best == -INFINITY) return none_possible(s, n_broken, diag);
    *token = (int32_t)i_best;
    return MN_OK;
}

mn_status mn__sampler_pick(mn__sampler *s, const float *logits, size_t n_logit, int32_t *token,
                           mn_diag *diag)
{
    size_t n_broken;
    llama_token_data_array list;
    if (n_logit < s->n_token)
        return mn__fail(diag, MN_ERANGE, "logits: wanted one for each of %zu tokens, found %zu",
                        s->n_token, n_logit);
    if (s->is_argmax) return pick_greatest(s, logits, token, diag);
    list = candidates(s, logits, &n_broken);
    if (!any_possible(&list)) return none_possible(s, n_broken, diag);
    llama_sampler_apply(s->chain, &list);
    if (list.selected >= 0 && !grammar_allows(s, list.data[list.selected].id)) {
        list = candidates(s, logits, &n_broken);
        llama_sampler_apply(s->grammar, &list);
        if (!any_possible(&list))
            return mn__fail(diag, MN_EFAIL, "the grammar allows no token of this vocabulary here");
        llama_sampler_apply(s->chain, &list);
    }
    if (list.selected < 0 || (size_t)list.selected >= list.size)
        return mn__fail(diag, MN_EFAIL, "the samplers chose no token");
    *token = list.data[list.selected].id;
    return MN_OK;
}

/* ---- history ---- */

static mn_status check_token(const mn__sampler *s, int32_t token, mn_diag *diag)
{
    if (token >= 0 && (size_t)token < s->n_token) return MN_OK;
    return mn__fail(diag, MN_ERANGE, "token: wanted 0 to %zu, found %d", s->n_token - 1, token);
}

mn_status mn__sampler_prime(mn__sampler *s, const int32_t *tokens, size_t n, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t i = 0; i < n; i++) MN_TRY(check_token(s, tokens[i], diag));
    for (size_t i = 0; i < n; i++) llama_sampler_accept(s->chain, tokens[i]);
done:
    return st;
}

mn_status mn__sampler_accept(mn__sampler *s, int32_t token, mn_diag *diag)
{
    mn_status st = check_token(s, token, diag);
    if (st != MN_OK) return st;
    if (!grammar_allows(s, token)) /* libllama would throw */
        return mn__fail(diag, MN_EINPUT, "token %d: the grammar does not allow it here", token);
    if (s->grammar != NULL) llama_sampler_accept(s->grammar, token);
    llama_sampler_accept(s->chain, token);
    return MN_OK;
}

void mn__sampler_next_answer(mn__sampler *s)
{
    if (s->grammar != NULL) llama_sampler_reset(s->grammar);
}
