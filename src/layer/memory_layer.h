/* memory_layer.h: a fully connected layer as look-ups (MemoryFormer): the signs of tau coordinates
 * at a time choose a row of a table, their sizes its weight; rows are summed. Up to three layers
 * that read the same input (queries, keys, values) share the choice. */
#ifndef MN_LAYER_MEMORY_LAYER_H
#define MN_LAYER_MEMORY_LAYER_H

#include "layer/layer.h"
#include "mneme/status.h"

enum { MN__MEMORY_SHARE = 3, MN__MEMORY_BITS = 16 };

typedef enum mn__memory_score {
    MN__SCORE_L1_PROB, /* |z|_1 p: what the published code trains with */
    MN__SCORE_PROB,    /* p: the paper's */
} mn__memory_score;

typedef struct mn__memory_share {
    size_t n_out;
    double std;       /* of the tables' first values */
    mn__param tables; /* [n_table][2^n_bit][n_out] */
    mn__param bias;   /* [n_out] */
} mn__memory_share;

typedef struct mn__memory_layer {
    size_t n_table, n_bit; /* n_in = n_table * n_bit */
    mn__memory_score score;
    double temperature; /* of p; 1 as published */
    size_t n_share;     /* layers that share the choice, with outputs of their own */
    mn__memory_share share[MN__MEMORY_SHARE];
} mn__memory_layer;

typedef struct mn__memory_saved {
    const mn__real *x; /* borrowed */
    uint16_t *code;    /* [n][n_table]: the row chosen, first coordinate in the highest bit */
    mn__real *score;   /* [n][n_table] */
} mn__memory_saved;

/* Sizes that can be: MN_ERANGE with a sentence that names `what`. */
mn_status mn__memory_layer_check(const mn__memory_layer *l, const char *what, mn_diag *diag);
/* Parameters are prefix.tables and prefix.bias; of several layers prefix.NAME.tables, with the
 * names given. */
void mn__memory_layer_declare(mn__memory_layer *l, mn__params *list, const char *prefix,
                              const char *const *names);
/* x [n][n_table * n_bit], y of each share [n][ld], ld at least its n_out. */
void mn__memory_layer_forward(const mn__memory_layer *l, const mn__env *env, size_t n,
                              const mn__real *x, mn__real *const *y, size_t ld,
                              mn__memory_saved *saved);
void mn__memory_layer_backward(const mn__memory_layer *l, const mn__env *env, size_t n,
                               const mn__memory_saved *saved, const mn__real *const *dy, size_t ld,
                               mn__real *dx);

#endif
