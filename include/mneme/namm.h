/** @file namm.h  NAMMs: policies whose rule is a small network, evolved to lose little of what a
 * model says (arXiv 2410.13166). Policy `namm:file=FILE` runs one. */
#ifndef MNEME_NAMM_H
#define MNEME_NAMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/evolve.h"
#include "mneme/session.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a NAMM's candidate loses on a prompt. name, word */
#define MN_EVOLVE_LOSS_MAP(X)                                                                 \
    X(KL, "kl")   /**< log(1 + 4 KL)/4, KL(full cache || candidate) an answer token: needs no \
                     right answer */                                                          \
    X(NLL, "nll") /**< nats a token of the gold answer more than under the full cache */      \
    X(METRIC, "metric") /**< 1 - the task's score of what is written */
typedef enum mn_evolve_loss {
#define X(name, word) MN_EVOLVE_LOSS_##name,
    MN_EVOLVE_LOSS_MAP(X)
#undef X
        MN_EVOLVE_LOSS_COUNT
} mn_evolve_loss;
/** "kl"; never NULL. */
MN_API const char *mn_evolve_loss_name(mn_evolve_loss loss);

/** How to evolve a NAMM. Fill with mn_evolve_namm_params_default first. Strings are borrowed.
 * Stages name evaluation tasks (mneme/eval.h) and a fidelity: "retained" (what share of later
 * attention lies on what a candidate keeps, over captured lanes, without the model), "frozen" (each
 * prompt is read once under the full cache, candidates cut it and go on along the gold answer) or
 * "true" (each candidate reads for itself and forgets while it reads). */
typedef struct mn_evolve_namm_params {
    mn_evolve_params run;      /**< dir, stages, search but its mean and n (population 0: 16,
                                  whatever n is); save is not called;
                                  options: what else ratings depend on, as how the model was
                                  opened, by names that are not those of parameters here */
    bool picks_covariance;     /**< full up to 2,048 parameters, separable above, whose state would
                                  take hundreds of megabytes, instead of run.search's */
    bool picks_sigma;          /**< 0.2 from a shape; from a fit (warm) or a file a tenth of its
                                  largest weight, as longer steps lose it, instead of run.search's */
    mn_session_params session; /**< n_ctx, seed; a worker has one thread */
    const char *start;         /**< a NAMM file, or a shape: paper, linear, mlp, bam, mix,
                                  with options perhaps: "paper:window=16,hop=8,log" */
    bool warm;                 /**< fit the shape to later attention before evolution, on prompts of
                                  the first stage that it does not hold out; not
                                  a file */
    const char *policy;        /**< further options of the policy, "recent=16"; NULL: none */
    const char *const *budget; /**< [n_budget] "25%", "": none; a candidate's loss is the mean over
                                    them */
    size_t n_budget;
    mn_evolve_loss loss;
    bool evict_context;   /**< cut behind the context, the question follows */
    const char *data;     /**< where the sets lie; their quarter `train` is used */
    const size_t *length; /**< [n_length] tokens of made rows */
    size_t n_length;
    uint64_t limit;              /**< most rows of a task at a length (8) */
    size_t max_gold;             /**< tokens of the gold answer (40) */
    size_t n_layer;              /**< layers captured of a prompt, for retained and warm (8) */
    size_t n_lane;               /**< lanes of a prompt that retained rates by, drawn; 0: 4 where
                                    the network attends, else all that are captured */
    size_t bank_bytes;           /**< of readings that are kept in memory (4 GiB); the others lie in
                                    files of DIR/readings while it lasts */
    const char *dictionary;      /**< of metrics over words; NULL: where it is installed */
    const char *model, *command; /**< for the NAMM's notes; not NULL */
    /** Prompts read before any candidate is rated: for the statistics of a shape's inputs, for warm
     * and for retained. With run.ctx, from the calling thread; NULL: not told. */
    void (*read)(uint64_t done, uint64_t total, void *ctx);
} mn_evolve_namm_params;
MN_API void mn_evolve_namm_params_default(mn_evolve_namm_params *p);

/** mn_evolve_run over NAMMs. DIR also holds start.namm.gguf, where it began (statistics of the
 * inputs included), and best.namm.gguf: the best mean on the prompts held out, or the last one.
 *  @return as mn_evolve_run, mn_eval_run for tasks; MN_EUSAGE for shapes, budgets and losses. */
MN_API mn_status mn_evolve_namm(const mn_model *model, const mn_evolve_namm_params *params,
                                mn_evolve_result *out, mn_diag *diag);

/* ---- how well cheap ratings rank ---- */

enum {
    MN_EVOLVE_SIDE_MAX = 8,
    MN_EVOLVE_PAIR_MAX = MN_EVOLVE_SIDE_MAX * (MN_EVOLVE_SIDE_MAX - 1) / 2
};

/** A way to rate candidates. */
typedef struct mn_evolve_side {
    const char *fidelity; /**< retained, frozen, true */
    mn_evolve_loss loss;  /**< retained has its own */
} mn_evolve_side;

/** What to compare. */
typedef struct mn_evolve_compare_params {
    mn_evolve_namm_params namm; /**< run.dir; run.stage, one, whose fidelity is not looked at;
                                   run.n_prompt; run.target_share; run.search: the distribution
                                   that candidates are drawn from, and in `population` how many of
                                   them are rated at once, which costs memory. What ends a run is
                                   not looked at */
    size_t n_candidate;         /**< 3 to 2^16 */
    const mn_evolve_side *side;
    size_t n_side; /**< 1 to MN_EVOLVE_SIDE_MAX */
} mn_evolve_compare_params;

/** What came of one way. */
typedef struct mn_evolve_side_result {
    double begin_s;             /**< seconds until it could rate: attention captured for retained */
    double rate_s;              /**< seconds of rating, readings for frozen included */
    double best, median, worst; /**< losses, of those that did not fail; NAN: all did */
    double kept_share;          /**< mean; NAN: not known */
    size_t n_failed;
} mn_evolve_side_result;

/** Spearman's rank correlation of two ways, and its 95% bootstrap interval over candidates. A
 * candidate that failed ranks last. NAN: one way tells none apart. */
typedef struct mn_evolve_pair {
    size_t a, b; /**< sides */
    double rho, lo, hi;
} mn_evolve_pair;

typedef struct mn_evolve_comparison {
    double sigma;    /**< that candidates were drawn with */
    size_t n_prompt; /**< that count */
    size_t n_left;   /**< prompts that one of the sides could not rate: left out for all */
    mn_evolve_side_result side[MN_EVOLVE_SIDE_MAX]; /**< in the order asked for */
    mn_evolve_pair pair[MN_EVOLVE_PAIR_MAX];
    size_t n_pair;
} mn_evolve_comparison;

/** Rate the candidates that a search begins with on the same prompts in several ways, in a folder:
 * DIR/compare.json holds every rating, losses, seconds and correlations, and is written every few
 * prompts: an interrupted comparison goes on there. DIR/start.namm.gguf as for mn_evolve_namm.
 * Losses do not depend on threads, ranks or pauses. All ranks call it; *out is rank 0's.
 *  @return as mn_evolve_namm; MN_EUSAGE also for a file of another comparison, the first difference
 * named, MN_EINPUT for a damaged one; MN_ECANCEL: stopped, the same call goes on. */
MN_API mn_status mn_evolve_compare(const mn_model *model, const mn_evolve_compare_params *params,
                                   mn_evolve_comparison *out, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
