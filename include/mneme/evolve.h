/** @file evolve.h  CMA-ES by ask and tell: search for the vector that a function of the caller's
 * rates best, from ranks alone; and runs of it over prompts, which log, resume and report.
 *
 *  for (;;) { ask each candidate, rate it, tell all ratings, stop when mn_optimizer_get_info says }
 *
 *  Candidates come from numbered random streams (seed, generation, candidate): any order of asking,
 *  any thread or process gives the same ones. Between tell and the next tell an optimizer does not
 *  change, so any number of threads may ask; tell, save and free are one thread's.
 *  Papers: arXiv 1604.00772 (CMA-ES), 10.1007/978-3-540-87700-4_30 (separable), arXiv 1705.06693
 *  (low rank), 10.1109/CEC.2005.1554902 (IPOP), 10.1145/1570256.1570333 (BIPOP),
 *  10.1109/TEVC.2008.924423 (noise). docs/evolution.md tells which to take. */
#ifndef MNEME_EVOLVE_H
#define MNEME_EVOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mn_optimizer mn_optimizer;

/** What is learned about the variables. name, word, most variables. Cost and memory per candidate:
 * full n^2, low rank n times rank, the others n. */
#define MN_COVARIANCE_MAP(X)                                            \
    X(FULL, "full", 8192)                                               \
    X(SEPARABLE, "separable", 1 << 24) /* a scale per variable */       \
    X(LOW_RANK, "low-rank", 1 << 24)   /* a few directions: LM-MA-ES */ \
    X(ISOTROPIC, "isotropic", 1 << 24) /* the step size alone */

typedef enum mn_covariance {
#define X(name, word, n) MN_COVARIANCE_##name,
    MN_COVARIANCE_MAP(X)
#undef X
        MN_COVARIANCE_COUNT
} mn_covariance;

/** What happens when a search has ended by itself: nothing; a new one with twice the candidates;
 * or such ones in turn with small ones that begin with a smaller sigma. name, word */
#define MN_RESTART_MAP(X) \
    X(NONE, "none")       \
    X(IPOP, "ipop")       \
    X(BIPOP, "bipop")

typedef enum mn_restart {
#define X(name, word) MN_RESTART_##name,
    MN_RESTART_MAP(X)
#undef X
        MN_RESTART_COUNT
} mn_restart;

/** Why a search ended. name, text */
#define MN_END_MAP(X)                                                            \
    X(NONE, "still going")                                                       \
    X(TARGET, "target reached")                                                  \
    X(EVALUATIONS, "evaluations used up")                                        \
    X(RESTARTS, "restarts used up")                                              \
    X(TOL_FUN, "ratings no longer differ (tol_fun)")                             \
    X(TOL_X, "candidates no longer differ (tol_x)")                              \
    X(FLAT, "ratings are equal")                                                 \
    X(STAGNATION, "no better for long")                                          \
    X(CONDITION, "one direction is 10^14 times as wide as another, in variance") \
    X(NO_EFFECT, "a step no longer changes the mean")                            \
    X(DIVERGED, "the spread grew ten thousandfold")

typedef enum mn_search_end {
#define X(name, text) MN_END_##name,
    MN_END_MAP(X)
#undef X
        MN_END_COUNT
} mn_search_end;

/** How to search. Fill with mn_optimizer_params_default first. */
typedef struct mn_optimizer_params {
    size_t n;           /**< variables */
    size_t population;  /**< candidates of a generation, 2 or more; 0: 4 + floor(3 ln n) */
    double elite_ratio; /**< share of them that moves the mean, at most 0.5 (0.5); is_exact: 1 */
    double sigma;       /**< standard deviation of a variable in the first generation */
    const double *mean; /**< [n], copied; NULL: zeros */
    double spread;      /**< every start is drawn from mean +- spread, each variable evenly (0) */
    mn_covariance covariance;
    size_t rank;       /**< directions of low rank; 0: 4 + floor(3 ln n) */
    bool is_max;       /**< higher ratings are better */
    bool is_passive;   /**< the worse half teaches the covariance nothing */
    bool is_exact;     /**< eigenvectors anew in each generation, and before the first one 1e-6
                            is added to each entry of C: the order of operations of the NAMM
                            paper's runs. Full only. */
    bool is_endless;   /**< only target and max_evaluations end the search */
    bool has_noise;    /**< some candidates are rated twice, see mn_optimizer_info.effort */
    double effort_max; /**< with noise: most effort asked for (1: none, sigma grows instead) */
    uint64_t seed;
    mn_restart restart;
    size_t max_restarts;      /**< (no limit) */
    uint64_t max_evaluations; /**< 0: no limit; looked at between generations */
    double target;            /**< stop at a rating as good as this; NAN: none */
    double tol_fun, tol_x;    /**< 1e-12 in ratings, 1e-12 of sigma; 0: off */
} mn_optimizer_params;
MN_API void mn_optimizer_params_default(mn_optimizer_params *p);

/** Where a search stands. Arrays are borrowed until the next tell. */
typedef struct mn_optimizer_info {
    size_t n, population; /**< as it is after restarts */
    size_t n_ask;         /**< candidates to rate now: population, and repeats when has_noise */
    uint64_t generation;  /**< tells so far, over all starts */
    uint64_t evaluations, n_failed; /**< ratings so far; of which NaN */
    size_t n_restart;
    mn_search_end stop;      /**< NONE: go on */
    mn_search_end last_stop; /**< what ended the search before the last restart */
    double sigma;
    double axis_ratio;       /**< longest over shortest axis of the spread (low rank: 1) */
    double best;             /**< best rating ever; NAN before the first */
    const double *best_x;    /**< [n] its candidate */
    const double *mean;      /**< [n] what noisy searches should hand on */
    const double *last_mean; /**< [n] that of the search before the last restart; NULL: none yet */
    double noise;            /**< above 0: noise changed ranks more than is tolerable */
    double effort;    /**< 1 or more: on how many more samples to rate; moves with the noise */
    const char *note; /**< what the checkpoint said, "" without one */
} mn_optimizer_info;

/** Start a search. @param out owned, mn_optimizer_free. @return MN_OK, MN_ERANGE (a parameter,
 * named in diag), MN_ENOMEM. */
MN_API mn_status mn_optimizer_new(mn_optimizer **out, const mn_optimizer_params *p, mn_diag *diag);
MN_API void mn_optimizer_free(mn_optimizer *o); /**< NULL is fine */

/** Candidate i of this generation, i < n_ask, into x [n]. Those from `population` on repeat the
 * first ones. */
MN_API void mn_optimizer_ask(const mn_optimizer *o, size_t i, double *x);
/** Ratings [n_ask] of this generation. NaN: the candidate failed, and ranks last. Only ranks move
 * the search; ties go by number. After a restart population and n_ask are others. A search that has
 * stopped may be told on. @return MN_OK, MN_ENOMEM (a restart needs more), MN_EFAIL (no
 * eigenvectors); after a failure only mn_optimizer_free is left. */
MN_API mn_status mn_optimizer_tell(mn_optimizer *o, const double *fitness, mn_diag *diag);
MN_API void mn_optimizer_get_info(const mn_optimizer *o, mn_optimizer_info *out);

/** Write everything, with a note of the caller's, as one GGUF file (docs/formats.md), whole or not
 * at all; the file that stood there stays beside it as PATH.1. @return MN_OK, MN_EIO, MN_ENOMEM,
 * MN_ERANGE (a path too long). */
MN_API mn_status mn_optimizer_save(mn_optimizer *o, const char *path, const char *note,
                                   mn_diag *diag);
/** Go on from a file, to the same bits as without a pause. A file that is damaged or cut: PATH.1
 * takes its place, and `warning` (may be NULL) says so.
 *  @param p  what the caller would start with: a difference from what is in the file is refused and
 *            named, but for target, max_evaluations and max_restarts, which are taken from here.
 *            NULL: all as in the file
 *  @return MN_OK, MN_EUSAGE (other options), MN_EINPUT (neither file is whole), MN_EIO, MN_ENOMEM.
 */
MN_API mn_status mn_optimizer_load(mn_optimizer **out, const char *path,
                                   const mn_optimizer_params *p, mn_diag *warning, mn_diag *diag);

/** "target reached"; never NULL. */
MN_API const char *mn_search_end_text(mn_search_end stop);
/** "full"; never NULL. */
MN_API const char *mn_covariance_name(mn_covariance c);
/** "ipop"; never NULL. */
MN_API const char *mn_restart_name(mn_restart r);

/* ---- runs: stages of generations in a folder, by threads and processes ---- */

/** What candidates are rated on for some generations. */
typedef struct mn_evolve_stage {
    const char *tasks;    /**< names with commas; "+a,b": beside those of the stage before */
    const char *fidelity; /**< how they are rated, in the words of who does */
    uint64_t generations; /**< most of them; 0: until the search or another limit ends it */
} mn_evolve_stage;

/** How losses on several prompts become one. */
typedef enum mn_evolve_statistic {
    MN_EVOLVE_MEAN,
    MN_EVOLVE_MEDIAN,
    MN_EVOLVE_TRIMMED, /**< mean without the best and worst tenth (of 3 or more at least one each)
                        */
    MN_EVOLVE_STATISTIC_COUNT
} mn_evolve_statistic;
/** "mean"; never NULL. */
MN_API const char *mn_evolve_statistic_name(mn_evolve_statistic s);

/** A mean that is worth keeping. */
typedef struct mn_evolve_best {
    uint64_t generation; /**< tells that led to it */
    size_t stage;
    double loss, kept_share; /**< on the held-out prompts; NAN: there are none */
} mn_evolve_best;

/** A generation that has ended. */
typedef struct mn_evolve_line {
    uint64_t generation;
    uint64_t n_generation; /**< of all stages; 0: not limited */
    size_t stage, n_stage;
    const char *fidelity;
    double best, mean;       /**< losses of this generation's candidates; NAN: all failed */
    double sigma;            /**< that they were drawn with */
    double kept_share;       /**< mean; NAN: not known */
    double held_out;         /**< loss of the new mean; NAN: not asked in this generation */
    double seconds;          /**< that the generation took */
    double seconds_left;     /**< of the whole run, by those so far; NAN: not known */
    size_t n_prompt, n_left; /**< prompts rated on; of them left out */
    size_t n_failed;         /**< candidates */
} mn_evolve_line;

/** The processes of a run, all of which call mn_evolve_run with the same parameters and wait for
 * each other in `share`. One that fails returns at once: the caller ends the others. */
typedef struct mn_evolve_ranks {
    int rank, n;
    /** 0, 1, 2, ...: each number once over all ranks. From any thread. */
    uint64_t (*claim)(void *ctx);
    /** The next number is 0 again. Rank 0 calls it, while nobody claims. */
    void (*restart)(void *ctx);
    /** x [n] becomes, everywhere, the bitwise or over all ranks. All call it; one thread. */
    mn_status (*share)(void *ctx, uint64_t *x, size_t n, mn_diag *diag);
    void *ctx;
} mn_evolve_ranks;

/** A run. Fill with mn_evolve_params_default first. Strings are borrowed during the call. */
typedef struct mn_evolve_params {
    const char *dir;            /**< folder of the run; made when absent */
    mn_optimizer_params search; /**< is_max: false */
    const mn_evolve_stage *stage;
    size_t n_stage;
    size_t n_prompt; /**< drawn for each generation, the same for all candidates (16); more where
                        the search asks for effort */
    mn_evolve_statistic statistic;
    double target_share;     /**< what a candidate keeps beyond this share costs: its loss grows by
                                max(0, kept / target_share - 1), kept being its mean kept_share over the
                                prompts; the mean's too. Raters that know no share: no effect. 0: off */
    size_t n_held_out;       /**< prompts of each stage that its candidates never see (0); a stage
                                draws its own: of tasks that go on they may be others than before */
    uint64_t validate_every; /**< the mean is rated on them before a stage, after so many of its
                                generations and at its end; 0: never */
    double goal;             /**< a stage ends when the mean is rated as well as this; NAN: none */
    double max_seconds;      /**< of this call; the run stays resumable; 0: no limit */
    const char *options;     /**< JSON object of all else that ratings depend on, hashes of inputs
                                included: a run goes on under the same ones alone; NULL: none */
    /** What sentences call an option, "--held-out" for held_out: a member of these structures, of
     * run.json or of `options`. NULL: as it is called there. */
    void (*option_name)(const char *key, char out[64]);
    const char *commit, *compiler, *cpu; /**< for run.json; not NULL */
    int n_thread;                        /**< workers; 0: one per processor */
    bool keeps_candidates;               /**< each candidate's loss enters the log */
    mn_evolve_ranks ranks;               /**< n 1: alone, functions not called */
    /** The best mean so far (with held-out prompts), or the mean at the end of a stage: the caller
     * writes it where it wants. Called again with the same when a run goes on. May be NULL, as the
     * others; rank 0 alone. */
    mn_status (*save)(void *ctx, const double *mean, const mn_evolve_best *best, mn_diag *diag);
    void (*line)(void *ctx, const mn_evolve_line *line);
    void (*tick)(void *ctx, uint64_t done, uint64_t total); /**< units of a generation here */
    void (*note)(void *ctx, const char *sentence);          /**< what was left out or is amiss;
                                                               from any rank */
    bool (*stop)(void *ctx); /**< from any thread: ends after the units under way */
    void *ctx;
} mn_evolve_params;
MN_API void mn_evolve_params_default(mn_evolve_params *p);

/** A function of the caller's to minimise. */
typedef struct mn_evolve_problem {
    /** A stage begins, or goes on: `tasks` are all its names, n_item receives how many prompts
     * there are to draw from (1 to 2^52). One thread. */
    mn_status (*begin)(void *ctx, const char *tasks, uint64_t *n_item, mn_diag *diag);
    /** Loss of x [n] on prompt `item`, NAN: it failed. From any thread; must depend on item and x
     * alone. MN_ERANGE or MN_EBUDGET: the prompt is left out for all candidates; other failures end
     * the run. */
    mn_status (*rate)(void *ctx, uint64_t item, const double *x, double *loss, mn_diag *diag);
    void *ctx;
} mn_evolve_problem;

typedef struct mn_evolve_result {
    mn_optimizer *search; /**< as it stands now, the caller's (mn_optimizer_free); NULL on other
                             ranks than 0 and after a failure */
    mn_evolve_best best;  /**< what was saved last; loss NAN: no rating on held-out prompts */
    size_t stage;         /**< that it stands in */
    uint64_t n_new;       /**< generations of this call */
    const char *end;      /**< why it ended; static */
} mn_evolve_result;

/** Evolve in a folder, or go on there, to the same bits as without a pause and with any number of
 * threads and ranks. DIR holds run.json (what it was started with), evolve.gguf (state, written
 * every generation, and the one before as evolve.gguf.1), log.sqlite (a row a generation). What a
 * killed process left half written under these names, or best.*, is removed. Mean, covariance and
 * step size pass from stage to stage. What has begun must be asked for as it was; the limits of the
 * stage it stands in, and later stages, may change.
 *  @return MN_OK; MN_EUSAGE (a parameter, or a difference from what the folder was made with,
 * named); MN_ERANGE; MN_EINPUT (damaged files; no prompt can be rated); MN_EFAIL (another process
 * evolves there); MN_ECANCEL (stopped; the state is that of the last whole generation); MN_EIO;
 * MN_ENOMEM; what `begin`, `rate`, `save` or `share` returned. */
MN_API mn_status mn_evolve_run(const mn_evolve_problem *problem, const mn_evolve_params *params,
                               mn_evolve_result *out, mn_diag *diag);

/** Write DIR/report.json, all of log.sqlite and run.json, and DIR/report.html, its curves and
 * tables as one page that needs nothing else. chart_js: a file of Chart.js 3; NULL: where this
 * build found it.
 *  @return MN_OK; MN_EINPUT (no run there; no chart library, with the package that brings it);
 * MN_EIO; MN_ENOMEM. */
MN_API mn_status mn_evolve_report(const char *dir, const char *chart_js, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
