/** @file evolve.h  CMA-ES by ask and tell: search for the vector that a function of the caller's
 * rates best, from ranks alone.
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
 * or such ones in turn with small ones that begin with a smaller sigma. */
typedef enum mn_restart {
    MN_RESTART_NONE,
    MN_RESTART_IPOP,
    MN_RESTART_BIPOP,
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
    double elite_ratio; /**< share of them that moves the mean (0.5) */
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
    double axis_ratio;    /**< longest over shortest axis of the spread (low rank: 1) */
    double best;          /**< best rating ever; NAN before the first */
    const double *best_x; /**< [n] its candidate */
    const double *mean;   /**< [n] what noisy searches should hand on */
    double noise;         /**< above 0: noise changed ranks more than is tolerable */
    double effort;        /**< 1 or more: how much longer ratings should take, if they can (more
                               samples); moves with the noise */
    const char *note;     /**< what the checkpoint said, "" without one */
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

#ifdef __cplusplus
}
#endif
#endif
