/* policy_kind.h: inside src/policy: a parsed spec, what a policy file offers, and the rules that
 * evict.c follows. */
#ifndef MN_POLICY_KIND_H
#define MN_POLICY_KIND_H

#include "policy/evict.h"
#include "policy/spec.h"

/* ---- spec.c: a policy and its options (spec.h) ---- */

struct mn__policy_kind;
/* Parse text and put defaults, preset and the user's options together. base is the kind that scores
 * (a wrapper's `base`). MN_EUSAGE: unknown policy, option or preset (nearest named), malformed
 * pair. */
mn_status mn__spec_resolve(mn__spec *out, const struct mn__policy_kind **kind,
                           const struct mn__policy_kind **base, const char *text, mn_diag *diag);
/* Resolved options as text; common options at their neutral value left out. Owned by the caller
 * (mn__free). */
char *mn__spec_text(const mn__spec *s);
/* Defaults that a file brings, `key=value,key=value`, for options that the user did not give.
 * MN_EINPUT: no such option, malformed pair. */
mn_status mn__spec_default(mn__spec *s, const char *list, mn_diag *diag);
void mn__spec_set(mn__spec *s, const char *key, const char *value); /* of an option that is there */

/* ---- what one policy file offers; its texts and defaults stand in policies.def ---- */

typedef struct mn__policy_kind {
    bool wrapper;     /* scores with the policy named by its option `base` */
    bool critical;    /* second selection stage by the output's norm */
    bool own_profile; /* its option `profile` is its own business */
    bool own_rule;    /* so is `rule`: namm's */
    bool on_grid;  /* acts where the index of the next token is a multiple of chunk or every; at the
                      end of a prompt where chunk is 0, or that has a chunk and a budget says how
                      many stay */
    bool keep_nan; /* a lane with a score that is none keeps everything */
    bool compact;  /* survivors move together unless told otherwise */
    const char *kvpress, *paper; /* option values of the presets, NULL: no such preset */
    /* Read the file that an option names, unless s->namm is there (a constructed one), and put in
     * the defaults that follow from it. file NULL: options are only checked, nothing is read. */
    mn_status (*open)(struct mn__namm **file, mn__spec *s, mn_diag *diag);
    /* The scorer (mn__alloc, POLICY). shape is NULL when only the options are to be checked. NULL:
     * a wrapper, or full. */
    mn_status (*make)(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag);
    /* Newest slots that are protected for the scorer's own reasons in a lane of n slots with n_sink
     * first ones, or NULL. */
    size_t (*tail)(const mn__scorer *s, size_t n, size_t n_sink);
    size_t (*tail_max)(const mn__scorer *s);
    /* Order in which heads are spared, best first: rank[i] is a lane of the full-attention layers
     * (layer major), or NULL. */
    const uint32_t *(*rank)(const mn__scorer *s, double *full);
} mn__policy_kind;

#define MN_POLICY(name, summary, paper, defaults) extern const mn__policy_kind mn__kind_##name;
#include "policy/policies.def"
#undef MN_POLICY

/* ---- profile.c: a file of one number per layer and KV head, or of several such tables ---- */

typedef struct mn__profile {
    size_t n_lane;  /* heads of full-attention layers, layer major */
    size_t n_table; /* 1 where kept is NULL */
    float *kept;    /* [n_table] rising: the mean share kept that a table is for; NULL: one table */
    float *value;   /* [n_table][n_lane] in [0,1] */
} mn__profile;
/* MN_EIO, MN_EINPUT with file, table, layer and head. Nothing is left in *out on failure. */
mn_status mn__profile_read(mn__profile *out, const char *path, const mn__cache_shape *shape,
                           mn_diag *diag);
void mn__profile_free(mn__profile *p);
/* A lane's number when `kept` of all tokens stay: linear between tables, the nearest one beyond. */
double mn__profile_share(const mn__profile *p, size_t lane, double kept);

/* ---- the policy ---- */

enum mn__share { MN__SHARE_NONE, MN__SHARE_LAYER, MN__SHARE_ALL };
enum mn__alloc {
    MN__ALLOC_UNIFORM,
    MN__ALLOC_PYRAMID,
    MN__ALLOC_PROFILE,
    MN__ALLOC_ADA, /* from here on lanes compete by score */
    MN__ALLOC_PYRAMID_ADA,
    MN__ALLOC_GLOBAL
};
/* Tokens that go for their score alone: each is judged once, when it leaves the newest ones
 * (threshold=); at every event (namm); or as the reference of namm has it, by layer. */
enum mn__judge { MN__JUDGE_NONE, MN__JUDGE_ONCE, MN__JUDGE_ALWAYS, MN__JUDGE_LAYER };
enum mn__merge { MN__MERGE_NONE, MN__MERGE_SIMILAR, MN__MERGE_LATER };

struct mn__policy {
    const mn__policy_kind *kind, *base;
    mn__scorer *scorer;    /* NULL: full */
    struct mn__namm *namm; /* that the scorer borrows; NULL: none was read */
    mn__budget budget;
    char *text;
    size_t n_layer, n_kv_head, head_dim;
    size_t n_full;  /* full-attention layers */
    uint32_t *full; /* [n_full] their indices */
    uint8_t *skip;  /* [n_layer] */
    size_t n_skip;  /* full-attention layers among them */
    size_t n_even;  /* first full-attention layers whose heads do not compete */
    size_t sinks, recent;
    double recent_share; /* of the mean budget; 0: recent holds */
    int share, alloc, merge, judge;
    bool pool_avg, floor_mix, pyramid_kvpress, of_prompt, stage_all, by_mass, norm_l2;
    mn__profile profile; /* alloc=profile */
    size_t pool;         /* 1: none (or done by the scorer) */
    double alpha, beta, threshold, merge_min;
    size_t chunk, every, group, chunks, merge_reach;
    size_t judged_at; /* threshold: where in a lane's state the first token not judged yet stands */
    size_t cap_slots, cap_lane, cap_step; /* byte budgets: slots of all lanes, of one on average,
                                             tokens of a step while reading */
};

/* budget.c: slots that the lanes of all full-attention layers may hold together after this event.
 */
size_t mn__budget_slots(const mn__policy *p, const mn__cache *c, mn__event event,
                        const mn__evict_env *env);
/* Fill cap_*; check a fixed budget against the protection. */
mn_status mn__budget_bind(mn__policy *p, const mn__cache_shape *shape, mn_diag *diag);

/* ---- one lane's part in an event ---- */

typedef struct mn__quota {
    uint32_t layer, head;
    const mn__lane *lane;
    const int32_t *token; /* [n] */
    size_t n;
    size_t n_sink, n_tail; /* protected first and last slots */
    size_t protect;        /* protected slots, pins included */
    size_t keep;           /* how many stay */
    double want;           /* before rounding */
    bool spared;           /* keeps everything, the others pay */
    float *score;          /* [n] */
    float gain;            /* on scores when lanes compete */
    uint8_t *mask;         /* [n] nonzero: not a candidate (MN__MASK_*) */
    uint64_t n_nan;
    mn_status st;  /* of the compaction */
    size_t cursor; /* share_pool.c */
} mn__quota;

enum { MN__MASK_PROTECTED = 1, MN__MASK_CHOSEN = 2, MN__MASK_DROPPED = 4 };

/* protect.c: sinks, tail and pins of one lane. */
void mn__protect_count(mn__quota *q, const mn__policy *p, size_t recent, const mn__evict_env *env);
void mn__protect_mask(const mn__quota *q, const mn__evict_env *env);

/* select.c: the m best candidates over lanes, in a total order: higher score (times the lane's
 * gain), then newer token, then earlier lane (NaN counts as minus infinity). A slot is taken when
 * its key is above *key, or equal to it and among the first *n_equal such lanes. */
typedef struct mn__pick {
    uint64_t key;
    size_t n_equal;
} mn__pick;
uint64_t mn__pick_key(float score, int32_t token);
mn__pick mn__pick_best(const mn__quota *q, size_t n_lane, size_t m);
/* Give `bit` to the candidates of one lane that are taken; true says the pick's equal key was met
 * here. */
bool mn__pick_mark(const mn__quota *q, const mn__pick *pick, bool take_equal, uint8_t bit);
size_t mn__count_candidates(const mn__quota *q);
/* Slots that stay (q->keep of them, fewer with group=), ascending; returns their number. value: [n]
 * norms of the output for the second stage of critical, or NULL; spare [n] is scratch. The mask is
 * used up. */
size_t mn__select(const mn__policy *p, mn__quota *q, const float *value, float *spare,
                  uint32_t *keep);

/* judge.c: a lane's part of an event: candidates below the threshold get MN__MASK_DROPPED, and keep
 * becomes what stays, the budget being a cap. Returns the first token to be judged another time. */
int64_t mn__judge_tokens(const mn__policy *p, mn__quota *q);
/* The heads of a layer keep as many as the one of them with the most tokens, protected or not below
 * the threshold, has of these; the budget is a cap. Which ones is for mn__select. */
void mn__judge_layer(const mn__policy *p, mn__quota *q, size_t n_lane);

/* evict.c: threads meet, and the crew's items are handed out anew. */
void mn__crew_meet(const mn__crew *crew);

/* share_pool.c */
void mn__share_mean(mn__quota *q, size_t n_lane);
/* Over slots [0, n); tmp [n]. */
void mn__pool_scores(float *score, size_t n, size_t kernel, bool avg, float *tmp);

/* allocate.c: who keeps how many of `total`, when n_seen tokens were read. Fills keep; MN_EBUDGET
 * when the protected slots need more. */
mn_status mn__allocate(const mn__policy *p, mn__quota *q, size_t n_lane, size_t total,
                       size_t n_seen, mn_diag *diag);
/* The lanes' keep is put together and shared out again by score. */
void mn__allocate_compete(const mn__policy *p, mn__quota *q, size_t n_lane);
/* want -> keep: bounds [lo(q), n], sum exactly total (largest remainder, earlier lane first). lo
 * and hi of each lane in these. */
void mn__apportion(mn__quota *q, size_t n_lane, size_t total, size_t (*lo)(const mn__quota *),
                   size_t (*hi)(const mn__quota *));
/* Layer i of n_layer: slots per lane, whose mean is `mean`; n held, w of them window. */
double mn__pyramid_layer(const mn__policy *p, size_t i, size_t n_layer, double n, double w,
                         double mean);

/* ---- merge.c: values of dropped tokens folded into survivors (merge=) ---- */

/* Floats of one thread's workspace, 64-byte aligned, for lanes of n slots. */
size_t mn__merge_floats(const mn__policy *p, size_t head_dim, size_t n);
/* mn__lane_keep of the lane's slots keep[0, q->keep), after the values of the others were folded
 * into them. q->score: [n]. */
mn_status mn__merge_keep(const mn__policy *p, mn__cache *c, const mn__quota *q,
                         const uint32_t *keep, uint64_t seed, float *work);

/* ---- gram.c: norms of projected values through Wo[h]' Wo[h] (critical:norm=l2) ---- */

/* Floats of workspace for 64 values. */
size_t mn__gram_floats(size_t head_dim);
/* |Wo[h] v|_2, mean over the group of a KV head; v [n_row][D], at most 64 rows. */
void mn__gram_norms(const mn__gram *g, const struct mn__kern *kern, size_t layer, size_t head,
                    const float *v, size_t n_row, float *work, float *out);

/* ---- window_score.c: scorers that look back with the last queries ---- */
typedef struct mn__window_rule {
    size_t window;
    double decay;    /* weight of a row relative to the next one */
    bool count_rows; /* rows weighted by their number of keys (finch) */
    bool sum;        /* over rows, not the mean */
} mn__window_rule;
/* rule->window is read from option `key`. */
mn_status mn__window_scorer_new(mn__scorer **out, const char *name, const char *key,
                                const mn__window_rule *rule, const mn__spec *s, mn_diag *diag);

/* ---- plain_score.c: for scorers without options ---- */
mn_status mn__plain_scorer_new(mn__scorer **out, const struct mn__scorer_ops *ops, unsigned needs,
                               size_t slot_bytes, mn_diag *diag);
void mn__plain_scorer_free(mn__scorer *s);
/* observe: the slot's state is a float, the sum of what the group's heads paid, divided by their
 * number. */
void mn__observe_sum(const mn__scorer *s, const mn__seen *seen, uint8_t *state);
/* Scratch of one page of keys, or of keys and values. */
size_t mn__page_of_rows(const mn__scorer *s, const mn__cache_shape *shape, size_t n);

/* ---- unlike.c ---- */
/* -cos of each key (values: value) of the lane and the mean of all of them, unit vectors: out [n],
 * ld apart, in [-1, 1] but for rounding. scratch: mn__unlike_floats. */
void mn__unlike(const mn__score_view *v, bool values, float *scratch, float *out, size_t ld);
size_t mn__unlike_floats(const mn__cache_shape *shape);

/* Scratch of n floats rounded up to 64 bytes. */
static inline size_t mn__pad16(size_t n)
{
    return (n + 15) / 16 * 16;
}

#endif
