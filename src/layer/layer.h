/* layer.h: what trainable layers have in common. A layer mn__X is a struct of sizes and parameters
 * that does not move once it is declared, and functions:
 *
 *   mn__X_declare(l, list, prefix)        names, shapes, groups and first values of its parameters
 *   mn__X_forward(l, env, ..., x, y, saved)
 *   mn__X_backward(l, env, ..., saved, dy, dx)
 *
 * - Rows lie one behind another: x is [n][n_in]. Layers of tokens take n, those of sequences a
 *   mn__shape of n_seq sequences of `len` rows each.
 * - saved: what backward needs. The struct is the caller's, its arrays come from the tape; x (and
 *   y, where a layer says so) is borrowed and must live until backward. NULL: inference, nothing is
 *   kept.
 * - backward ADDS to the gradients of parameters and WRITES dx, which is not dy. Where a
 *   parameter's g is NULL it is left alone.
 * - Neither allocates: all memory is the tape's (tape.h), scratch is cut away before they return.
 *   Where the tape is dry they take and return.
 * - Threads: the caller is one thread; loops that are worth it run on all threads of env's team by
 *   mn__each, in chunks whose borders do not depend on the number of threads. Each chunk writes its
 *   own outputs; sums over chunks are made in their order. So bits do not depend on threads. */
#ifndef MN_LAYER_LAYER_H
#define MN_LAYER_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/team.h"
#include "kern/kern.h"
#include "layer/real.h"
#include "layer/tape.h"

/* How the optimiser treats a parameter. */
typedef enum mn__param_group {
    MN__PARAM_DECAY,
    MN__PARAM_NO_DECAY, /* norms and biases */
    MN__PARAM_VALUES,   /* rows of a memory's values: rate and decay of their own */
    MN__PARAM_STATE,    /* no parameter: kept with them in checkpoints, has no gradient */
} mn__param_group;

typedef enum mn__init_kind {
    MN__INIT_CONSTANT, /* scale */
    MN__INIT_NORMAL,   /* scale: standard deviation */
    MN__INIT_CUT,      /* normal, drawn again beyond three deviations */
    MN__INIT_UNIFORM,  /* in [-scale, scale] */
    MN__INIT_ABOVE,    /* uniform in [0, scale) */
    MN__INIT_OWN,      /* zeros; its layer fills it */
} mn__init_kind;

enum { MN__PARAM_NAME = 96, MN__PARAM_DIMS = 5 };

/* Told before rows are read, by an optimiser that owes them updates: from any thread, a row by one
 * thread at a time, again and again. */
typedef struct mn__row_hook {
    void (*touch)(struct mn__row_hook *self, size_t row);
} mn__row_hook;

typedef struct mn__param {
    char name[MN__PARAM_NAME];
    size_t dim[MN__PARAM_DIMS]; /* outermost first */
    int n_dim;
    mn__param_group group;
    mn__init_kind init;
    double scale;
    size_t row;         /* > 0: read and changed by whole rows of so many values (tables) */
    size_t n_part;      /* of tables that look-ups alone read: parts of a row that have weights of
                         * their own; 0: others read it too */
    size_t whole, from; /* of a table that ranks have split by columns: values of a whole row, of
                         * which [from, from + row) are here; whole 0: all are */
    bool is_matrix; /* a matrix, or one for each item of the first of three dimensions, that rows
                     * are multiplied with: a file may hold it in fewer bits */
    bool is_turned; /* such a file holds each of its matrices with rows and columns changed */
    size_t at;      /* place in the flat arrays that it is bound into */
    mn__real *w;    /* borrowed from them */
    mn__real *g;    /* the same shape; NULL for inference and for state */
    mn__row_hook *hook;              /* of tables: the optimiser's, or NULL */
    const struct mn__stored *stored; /* as a model's file holds it (stored.h): instead of w, for
                                      * inference alone; borrowed. NULL: w */
} mn__param;

/* The parameters of a model in the order of their declaration. */
typedef struct mn__params {
    mn__param **at; /* the layers' own */
    size_t n, room;
    mn_status st; /* first failure of an addition */
} mn__params;

/* Add `p`, which takes over shape, group and first values of `like`; its name is "prefix.name", or
 * "name" where the prefix is empty. A failure is kept in list->st. */
void mn__params_add(mn__params *list, mn__param *p, mn__param like, const char *prefix,
                    const char *name);
/* "prefix.name", or "name", cut to what a name may have; returns out. */
char *mn__param_join(char out[MN__PARAM_NAME], const char *prefix, const char *name);
void mn__params_fini(mn__params *list); /* the list, not the parameters */
size_t mn__param_size(const mn__param *p);
/* Values that all parameters of the list take, each from a multiple of 16 on: state or the rest. */
size_t mn__params_size(const mn__params *list, bool state);
/* Point w and g into flat arrays of these sizes, borrowed; g may be NULL. */
void mn__params_bind(const mn__params *list, mn__real *w, mn__real *g, mn__real *state);
/* The stream of random numbers that has a parameter's name: what a layer draws does not depend on
 * what else a model holds. */
uint32_t mn__param_stream(const char *name);
/* First values, from the streams (seed, mn__param_stream). */
void mn__params_fill(const mn__params *list, mn__team *team, uint64_t seed);
/* Before they are bound: of each table that look-ups alone read, and whose parts n ranks can share,
 * the columns of `rank` stay. */
void mn__params_split(const mn__params *list, size_t rank, size_t n);
/* Parts that the columns of one of n ranks belong to, of n_part parts; 0: they cannot be shared. */
size_t mn__part_count(size_t n_part, size_t n);
/* mn__params_size (not of state) as if nothing were split. */
size_t mn__params_whole(const mn__params *list);
/* The same of one parameter, as it lies there. */
size_t mn__param_whole(const mn__param *p);
/* By its whole name; NULL: none. */
mn__param *mn__params_find(const mn__params *list, const char *name);

/* Multiply-adds of a pass, by what is multiplied. Not among them: what is done value by value
 * (norms, activations) and what is done once for all tokens of a pass (keys normed and folded). */
typedef enum mn__work_kind {
    MN__WORK_WEIGHTS, /* rows with matrices of parameters, and their gradients */
    MN__WORK_PAIRS,   /* positions with each other: attention */
    MN__WORK_KEYS,    /* queries with keys, and cells of the grids behind them */
    MN__WORK_ROWS,    /* rows of tables, weighed and summed */
    MN__WORK_KINDS,
} mn__work_kind;
typedef struct mn__tally {
    double n[MN__WORK_KINDS];
} mn__tally;

/* What a pass computes with. */
typedef struct mn__env {
    mn__team *team;              /* NULL: the caller alone */
    const struct mn__kern *kern; /* of float, NULL: plain loops; unused in double */
    mn__tape *tape;
    int n_thread;                /* of a dry run that has no team yet; 0: the team's */
    struct mn__product *product; /* stored parameters: workspace of products */
    bool decode;                 /* stored parameters: these are generated tokens */
    struct mn__peers *peers;     /* ranks that pass at the same time; NULL: alone */
    mn__tally *tally; /* what passes add their work to, dry ones too; NULL: nobody asks */
    bool half; /* products of mn__each_mm_*, and tiles that are given room for it (half.h), read
                * bf16, where `kern` is of a level that has it */
} mn__env;

static inline void mn__count(const mn__env *env, mn__work_kind kind, double n)
{
    if (env->tally) env->tally->n[kind] += n;
}

static inline bool mn__env_is_dry(const mn__env *env)
{
    return mn__tape_is_dry(env->tape);
}
static inline int mn__env_threads(const mn__env *env)
{
    return env->team ? mn__team_size(env->team) : env->n_thread > 1 ? env->n_thread : 1;
}
static inline mn__real *mn__take_reals(const mn__env *env, size_t n)
{
    return (mn__real *)mn__tape_take(env->tape, n, sizeof(mn__real));
}

/* One run of items [begin, end); `thread` only chooses scratch. */
typedef void mn__each_fn(void *arg, size_t begin, size_t end, int thread);
/* fn over n items in chunks of `grain` (> 0), on all threads; returns when all are done. Not from
 * within fn. Nothing where env is dry. */
void mn__each(const mn__env *env, size_t n, size_t grain, mn__each_fn *fn, void *arg);
/* The same for those who have no tape; a team of NULL is the caller alone. */
void mn__team_each(mn__team *team, size_t n, size_t grain, mn__each_fn *fn, void *arg);

/* Run `pass` dry and reserve the tape for it: MN_ENOMEM, with a sentence. env->tape is replaced. */
mn_status mn__env_plan(const mn__env *env, void (*pass)(const mn__env *env, void *arg), void *arg,
                       mn_diag *diag);

typedef struct mn__shape {
    size_t n_seq, len; /* rows: n_seq * len */
} mn__shape;

/* A layer behind one face, for sockets that any feed-forward or any mixer of tokens fits in. It is
 * the first member of the layer's object, which holds its own saved values: one pass in flight. */
typedef struct mn__layer {
    const struct mn__layer_ops *ops;
    size_t n_in, n_out;
    double aux; /* auxiliary loss of the last forward, coefficient included; backward adds its
                 * gradient */
} mn__layer;

struct mn__layer_ops {
    const char *name;
    void (*declare)(mn__layer *l, mn__params *list, const char *prefix);
    /* First values of MN__INIT_OWN, behind mn__params_fill; NULL: there are none. */
    void (*fill)(mn__layer *l, uint64_t seed);
    /* keep: backward will follow */
    void (*forward)(mn__layer *l, const mn__env *env, mn__shape s, const mn__real *x, mn__real *y,
                    bool keep);
    void (*backward)(mn__layer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx);
};

#endif
