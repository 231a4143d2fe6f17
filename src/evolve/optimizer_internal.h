/* optimizer_internal.h: the whole state of a search, for the files of evolve/ that share it. */
#ifndef MN_OPTIMIZER_INTERNAL_H
#define MN_OPTIMIZER_INTERNAL_H

#include "evolve/cma.h"
#include "mneme/evolve.h"

enum { MN__HISTORY_MAX = 20000 }; /* generations that stagnation looks back */

/* Single numbers of the state, as they also stand in a checkpoint. U(name): uint64_t, F: double. */
#define MN__OPTIMIZER_STATE(U, F)                                                    \
    U(generation)                                                                    \
    U(evaluations)                                                                   \
    U(n_failed)                                                                      \
    U(n_restart)                                                                     \
    U(population)  /* of this start */                                               \
    U(begin)       /* evaluations before this start */                               \
    U(allowance)   /* evaluations that a small start may take; 0: not a small one */ \
    U(n_large)     /* starts whose population was doubled */                         \
    U(spent_large) /* evaluations of such starts */                                  \
    U(spent_small) /* of small ones */                                               \
    U(last_large)  /* of the last start that was not small */                        \
    U(n_flat)      /* of the last n generations: ratings nearly equal */             \
    U(n_history)   /* entries of best and median */                                  \
    U(stop)                                                                          \
    U(last_stop)                                                                     \
    F(best)        /* oriented: smaller is better */                                 \
    F(sigma_begin) /* of this start */                                               \
    F(noise)                                                                         \
    F(effort)

struct mn_optimizer {
    mn_optimizer_params p; /* p.mean is ours, [n] */
    mn__cma dist;
#define U(name) uint64_t name;
#define F(name) double name;
    MN__OPTIMIZER_STATE(U, F)
#undef U
#undef F
    double *best_x;    /* [n] */
    double *last_mean; /* [p.n] mn_optimizer_info.last_mean; not in the file: it is of a tell */
    double *history_best, *history_median; /* [MN__HISTORY_MAX] of this start, oldest first */
    double *history_room;                  /* [MN__HISTORY_MAX] */
    double *z, *y;                         /* [population][n], what ask hands out */
    double *rating; /* [2 population] of n_ask, smaller is better, NaN is worst; and as much room,
                       twice */
    double *judged; /* [population] what counts: rating, or with noise sums of ranks */
    size_t *order;  /* [2 population] and as much room; best first */
    char *note;
    bool has_bad_file; /* what stands at the path of the checkpoint is no good: not worth keeping */
};

/* ---- optimizer.c ---- */
mn_status mn__optimizer_check(const mn_optimizer_params *p, mn_diag *diag);
/* Memory and distribution of a start with o->population candidates around `mean` [n]; nothing is
 * drawn yet. What was there is freed. */
mn_status mn__optimizer_begin(mn_optimizer *o, const double *mean, mn_diag *diag);
mn_status mn__optimizer_alloc(mn_optimizer **out, const mn_optimizer_params *p, mn_diag *diag);
/* z and y of this generation. */
void mn__optimizer_draw(mn_optimizer *o);
/* After other limits were set: does the search stop, or go on again? */
mn_status mn__optimizer_limit(mn_optimizer *o, mn_diag *diag);
size_t mn__optimizer_n_ask(const mn_optimizer *o);

/* ---- optimizer_file.c ---- */
/* As mn_evolve_params.option_name; NULL: the key itself. */
typedef void (*mn__option_name_fn)(const char *key, char out[64]);
void mn__option_name(mn__option_name_fn fn, const char *key, char out[64]);
/* mn_optimizer_load, whose sentences call options so. */
mn_status mn__optimizer_load(mn_optimizer **out, const char *path, const mn_optimizer_params *p,
                             mn__option_name_fn name, mn_diag *warning, mn_diag *diag);

/* ---- optimizer_stop.c ---- */
/* Remember this generation's best and median, then say whether the search is over. */
mn_search_end mn__optimizer_watch(mn_optimizer *o);

/* ---- optimizer_noise.c ---- */
/* Candidates that are rated again in the generation that o stands at; 0 without noise. */
size_t mn__noise_repeats(const mn_optimizer *o);
/* Measure noise by o->rating [n_ask], leave in o->judged what to rank by. */
void mn__noise_judge(mn_optimizer *o);
/* After the update: effort or sigma follow the noise. */
void mn__noise_treat(mn_optimizer *o);

/* ---- optimizer_restart.c ---- */
/* Choose population, sigma and mean of the next start and begin it. */
mn_status mn__optimizer_restart(mn_optimizer *o, mn_diag *diag);
/* A starting point: mean +- spread, drawn for restart number o->n_restart. out [n] */
void mn__optimizer_start_point(const mn_optimizer *o, double *out);

/* Indices of rating [n] from best to worst into order [n]: stable, NaN last. room [n]. */
void mn__rank(const double *rating, size_t n, size_t *order, size_t *room);

/* Purposes of random streams (base/rng.h). */
enum { MN__RNG_CANDIDATE = 0x636d6101, MN__RNG_START, MN__RNG_REPEAT, MN__RNG_REGIME };

#endif
