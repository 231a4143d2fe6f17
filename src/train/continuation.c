/* continuation.c: samples of a model in training. */
#include "train/continuation.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"

enum { PURPOSE = 0x73616d70 /* "samp" */ };

static mn__env env_of(const mn__continuation *k, const mn__trainer *t)
{
    mn__env env = t->env;
    env.tape = (mn__tape *)&k->tape;
    return env;
}

typedef struct planning {
    const mn__continuation *k;
    const mn__trainer *t;
} planning;

static void plan(const mn__env *env, void *arg)
{
    const planning *p = arg;
    mn__learner_logits(p->t->learner, env, (mn__shape){1, p->k->n}, p->k->token, p->k->logits);
}

static mn_status make(mn__continuation *k, const mn__trainer *t, mn_diag *diag)
{
    planning p = {k, t};
    size_t n_logit;
    if (!mn__mul_size(k->n, t->learner->config.model_vocab, &n_logit)) n_logit = SIZE_MAX;
    k->token = mn__alloc_array(MN_MEM_SCRATCH, k->n, sizeof *k->token);
    k->logits = mn__alloc_array(MN_MEM_SCRATCH, n_logit, sizeof *k->logits);
    if (!k->token || !k->logits)
        return mn__fail(diag, MN_ENOMEM, "a sample of %zu tokens is refused: no memory", k->n);
    const mn__env env = env_of(k, t);
    return mn__env_plan(&env, plan, &p, diag);
}

mn_status mn__continuation_init(mn__continuation *out, const mn__trainer *t,
                                const mn__continuation_params *p, mn_diag *diag)
{
    const size_t most = t->learner->config.train_length;
    mn__continuation k = {.n_prompt = p->n_prompt, .temperature = p->temperature};
    if (k.n_prompt > (most + 1) / 2) k.n_prompt = (most + 1) / 2;
    k.n = p->n_new < most - k.n_prompt ? k.n_prompt + p->n_new : most;
    *out = (mn__continuation){0};
    const mn_status st = make(&k, t, diag);
    if (st == MN_OK) {
        memcpy(k.token, p->prompt + (p->n_prompt - k.n_prompt), k.n_prompt * sizeof *k.token);
        *out = k;
    } else {
        mn__continuation_fini(&k);
    }
    return st;
}

void mn__continuation_fini(mn__continuation *k)
{
    mn__tape_fini(&k->tape);
    mn__free(k->token);
    mn__free(k->logits);
    *k = (mn__continuation){0};
}

static size_t likeliest(const mn__real *logit, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logit[i] > logit[best]) best = i;
    return best;
}

/* The token in whose share of the probabilities u in [0, 1) falls. */
static size_t draw(const mn__real *logit, size_t n, double temperature, double u)
{
    const double top = logit[likeliest(logit, n)];
    double sum = 0, seen = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) sum += exp(((double)logit[i] - top) / temperature);
    for (size_t i = 0; i < n; i++) {
        seen += exp(((double)logit[i] - top) / temperature);
        last = i;
        if (seen > u * sum) break;
    }
    return last;
}

void mn__continuation_write(mn__continuation *k, mn__trainer *t)
{
    const mn__config *c = &t->learner->config;
    const size_t V = c->model_vocab;
    const mn__env env = env_of(k, t);
    mn__trainer_look(t, true);
    for (size_t i = k->n_prompt; i < k->n; i++) {
        const mn__real *logit = k->logits + (i - 1) * V;
        mn__learner_logits(t->learner, &env, (mn__shape){1, i}, k->token, k->logits);
        const double u = mn__rng_uniform(c->train_seed, PURPOSE, t->opt->step, (uint32_t)i);
        k->token[i] =
            (int32_t)(k->temperature > 0 ? draw(logit, V, k->temperature, u) : likeliest(logit, V));
    }
    mn__trainer_look(t, false);
}
