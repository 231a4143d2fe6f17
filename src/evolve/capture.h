/* capture.h: what a NAMM's network reads at the end of a prompt, and how much each token was
 * attended to afterwards, along the question and the gold answer under the full cache: what a
 * network is fitted to, and rated by without the model (retained attention: fidelity a). */
#ifndef MN_EVOLVE_CAPTURE_H
#define MN_EVOLVE_CAPTURE_H

#include "eval/deck.h"
#include "evolve/regress.h"
#include "mneme/session.h"
#include "policy/namm_stats.h"

typedef enum mn__target {
    MN__TARGET_SHARED, /* largest later attention over queries and heads of the group, times what
                          the output makes of the value where the network sees that, as a share of
                          the lane's: half its own, half the mean over the layer's heads, max-pooled
                          over 7 tokens */
    MN__TARGET_OWN     /* mean later attention in the lane itself */
} mn__target;

typedef struct mn__capture_params {
    const mn_model *model;
    mn_session_params session; /* n_ctx, n_thread */
    const char *policy;   /* namm:file=...: whose inputs are wanted; acts at the prompt's end */
    mn__deck_params deck; /* source.tokens is filled in */
    bool evict_context;   /* the event stands behind the context, the question follows */
    size_t max_gold, max_new;
    size_t n_layer;        /* layers taken of each prompt, drawn; all of their heads */
    size_t n_sink, n_last; /* tokens that are never dropped: first, newest */
    mn__target target;
    uint64_t seed;
    /* Prompts that are not looked at: those that a run of this seed holds out of its first stage */
    size_t n_held_out;
    uint64_t held_out_seed;
    bool (*stop)(void *ctx);
    void (*progress)(uint64_t done, uint64_t total, void *ctx);
    void *ctx;
} mn__capture_params;

typedef struct mn__capture {
    mn__lane_sample *lane; /* [n_lane] own their arrays */
    uint32_t *prompt;      /* [n_lane] which prompt of the deck it is of */
    size_t n_lane, cap, n_in;
    uint64_t n_item, n_prompt;  /* prompts of the deck; of them captured */
    uint64_t n_looked, n_uncut; /* not held out; of them left out as nothing would be dropped */
    mn__namm_stats stats;       /* of all inputs seen */
} mn__capture;

/* What is said of n_uncut of n_looked (unsigned long long): first tokens, the newest and layers
 * that keep everything are all there is. */
#define MN__CAPTURE_UNCUT \
    "nothing would be dropped of %llu of %llu (too short, or in layers that keep everything)"

/* One prompt after the other, with all threads; prompts that do not fit are left out, and lanes
 * that the policy does not cut. MN_ERANGE: none is left beside those held out; MN_EINPUT: nothing
 * is dropped of any. */
mn_status mn__capture_run(mn__capture *out, const mn__capture_params *params, mn_diag *diag);
void mn__capture_fini(mn__capture *c);

#endif
