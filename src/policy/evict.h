/* evict.h: one eviction event: score every lane, share and pool the scores, give out the budget,
 * select, compact. A policy is a scorer (policy_*.c), an allocator and a driver (when), all parsed
 * from one spec string. */
#ifndef MN_EVICT_H
#define MN_EVICT_H

#include "base/team.h"
#include "cache/policy_ops.h"
#include "mneme/policy.h"
#include "mneme/watch.h"

/* What a budget means: design "What a budget counts". */
typedef struct mn__budget {
    enum { MN__BUDGET_NONE, MN__BUDGET_TOKENS, MN__BUDGET_SHARE, MN__BUDGET_BYTES } kind;
    double share;  /* kept, (0,1] */
    size_t amount; /* tokens per full-attention lane on average, or bytes of K and V in
                      full-attention lanes */
} mn__budget;
/* "2048", "25%", "512M" (K, M, G: 1024s; a trailing B is fine), "" or NULL: none. MN_EUSAGE with a
 * sentence. */
mn_status mn__budget_parse(const char *text, mn__budget *out, mn_diag *diag);

typedef enum mn__event {
    MN__EVENT_PROMPT_END, /* the whole prompt was read */
    MN__EVENT_CHUNK,      /* a chunk of the prompt was read (policies that act while reading, byte
                             budgets) */
    MN__EVENT_DECODE      /* a token was generated */
} mn__event;

typedef struct mn__pin { /* text tokens [begin, end) that are never dropped */
    int64_t begin, end;
} mn__pin;

typedef struct mn__policy
    mn__policy; /* immutable: scorer, wrappers, allocator, driver, all their options */
/* budget applies to the whole session; shape gives layers, heads, windows. Unknown names and
 * options: MN_EUSAGE, nearest suggested. The caller fills shape->slot_bytes, lane_bytes,
 * n_query_ring from mn__policy_scorer before it makes the cache. */
mn_status mn__policy_new(mn__policy **out, const char *spec, const mn__budget *budget,
                         const mn__cache_shape *shape, mn_diag *diag);
/* Text of a policy in which a file that it reads is told by its content: as PATH#HASH, which is
 * refused once the file has other bytes, or by name, NAME#HASH, as in records. All else stays as
 * written. Owned by the caller (mn__free). Statuses as mn_policy_check, and what the file says. */
mn_status mn__policy_pin(char **out, const char *spec, bool by_name, mn_diag *diag);
/* The same for policy namm (or a wrapper of it), with a NAMM from memory in place of the file that
 * its option names; borrowed, outlives the policy. NULL: the file. */
struct mn__namm;
struct mn__namm_rows;
mn_status mn__policy_new_of(mn__policy **out, const char *spec, const struct mn__namm *namm,
                            const mn__budget *budget, const mn__cache_shape *shape, mn_diag *diag);
/* Do scores alone say how many stay, by a threshold, the budget being no more than a cap? */
bool mn__policy_decides(const mn__policy *p);
/* For evolution, of a policy that scores with a NAMM of its own (policy_namm.c). Parameters and
 * inputs of the network, 0: it has none. */
size_t mn__policy_n_params(const mn__policy *p);
size_t mn__policy_n_inputs(const mn__policy *p);
/* Other parameters x [n] in place of the file's; before the policy acts. MN_EUSAGE: not as many as
 * it has. */
mn_status mn__policy_set_params(mn__policy *p, const double *x, size_t n, mn_diag *diag);
/* Those that `from`, made by the same spec, has now; nothing where they have no NAMM. */
void mn__policy_copy_params(mn__policy *p, const mn__policy *from);
/* At every event from now on, each lane's rows x [v->n][n_inputs] before they are scored; from any
 * of the crew's threads, one at a time for a lane. */
typedef void (*mn__inputs_fn)(void *ctx, const mn__score_view *v, const float *x);
void mn__policy_show_inputs(mn__policy *p, mn__inputs_fn fn, void *ctx);
/* Rows of inputs that it writes down, or reads where another policy of the same spec wrote them
 * (namm_rows.h); borrowed until the policy is freed or given others, NULL: none. */
void mn__policy_keep_inputs(mn__policy *p, struct mn__namm_rows *rows);
/* Layers whose lanes it cuts: those of full attention, [*n] rising. */
const uint32_t *mn__policy_full_layers(const mn__policy *p, size_t *n);
void mn__policy_free(mn__policy *p);
const mn__scorer *mn__policy_scorer(const mn__policy *p); /* NULL: full */
const char *mn__policy_spec(const mn__policy *p);         /* canonical, all options resolved */
const char *mn__policy_nan_rule(const mn__policy *p);     /* of scores that are NaN, in words */
bool mn__policy_compact_default(
    const mn__policy *p); /* streaming, finch: survivors move together unless told otherwise */
/* Tokens after which the prompt should be cut while reading (0: whole prompt first). */
size_t mn__policy_chunk(const mn__policy *p);
/* Does it act at the end of prompts alone? Then it looks back on queries of that prompt alone. */
bool mn__policy_acts_once(const mn__policy *p);
/* Least tokens a lane keeps whatever happens (sinks + recent + the given pins): a smaller budget is
 * MN_EBUDGET. */
size_t mn__policy_protected(const mn__policy *p);

/* Wo[h]' Wo[h] of the query heads of full-attention layers, for policies that take norms of
 * projected values through it (critical:norm=l2). Immutable, for sessions of one model to share. */
typedef struct mn__gram mn__gram;

/* What a scorer may need of the model, and the run's facts. */
typedef struct mn__evict_env {
    float softmax_scale;
    const void *model_hook;
    void (*output_norm)(const void *hook, size_t layer, size_t head, const float *v, size_t n_row,
                        float *out);
    /* Wo[h]' Wo[h] of query head h: [D][D] */
    void (*output_gram)(const void *hook, size_t layer, size_t h, float *gram);
    const mn__gram *gram; /* of mn__gram_new; NULL where the policy needs none */
    const mn__pin *pin;
    size_t n_pin;
    int64_t n_prompt; /* tokens of the prompt (shares refer to tokens seen; h2o's ratios to the
                         prompt) */
    uint64_t seed;
    /* Shown each lane before it is cut, from any of the team's threads; NULL: nobody looks. */
    void (*on_lane)(const mn_watch_lane *lane, void *ctx);
    void *on_lane_ctx;
} mn__evict_env;

/* All products by env->output_gram, on the team's threads: H*D*D*C multiply-adds a layer. *out NULL
 * where the policy needs none. MN_EFAIL: the model does not show its output projection. */
mn_status mn__gram_new(mn__gram **out, const mn__policy *p, const mn__cache_shape *shape,
                       const mn__evict_env *env, mn__team *team, mn_diag *diag);
void mn__gram_free(mn__gram *g);
size_t mn__gram_bytes(const mn__policy *p, const mn__cache_shape *shape);

/* Workspace, planned once for the longest lanes; POLICY in the ledger. */
typedef struct mn__evictor mn__evictor;
mn_status mn__evictor_new(mn__evictor **out, const mn__policy *p, const mn__cache_shape *shape,
                          int n_thread, mn_diag *diag);
void mn__evictor_free(mn__evictor *e);
/* Its memory back to the system until the next event: an answer is written behind lanes that were
 * cut. */
void mn__evictor_rest(mn__evictor *e);
size_t mn__evictor_bytes(const mn__policy *p, const mn__cache_shape *shape, int n_thread);

/* Does this event call for an eviction (driver: when; budget: over)? Cheap, called after every
 * step. */
bool mn__evict_due(const mn__policy *p, const mn__cache *c, mn__event event);
/* Do it, with the team's threads. Never allocates. MN_EBUDGET: the protected tokens alone exceed
 * the budget. */
mn_status mn__evict(mn__evictor *e, const mn__policy *p, mn__cache *c, mn__team *team,
                    mn__event event, const mn__evict_env *env, mn_diag *diag);

/* For plans: what an event that is due would leave, told from lengths alone. c is hollow: its
 * shape, n_seen and the lanes' n and n_origin are read and set, nothing else. Lanes that compete
 * get even shares of the same sum. MN_EBUDGET as the event would. */
mn_status mn__evict_forecast(const mn__policy *p, mn__cache *c, mn__event event,
                             const mn__evict_env *env, mn_diag *diag);
/* Do scores decide how long a lane is? A forecast then holds for their sum (or is a bound:
 * thresholds, groups). */
bool mn__policy_is_ragged(const mn__policy *p);

#endif
