/* key_scan.h: the keys of product-key retrieval: every head has n_key row keys and n_key column
 * keys; the best of each for a query are listed, and what backward found for listed keys goes back
 * to queries and keys. */
#ifndef MN_LAYER_KEY_SCAN_H
#define MN_LAYER_KEY_SCAN_H

#include "layer/layer.h"

/* A vector of token t, head h, axis a (0 row, 1 column), part s stands at
 * t token + h head + a axis + s part; strides may be 0: shared. */
typedef struct mn__query_form {
    size_t token, head, axis, part;
} mn__query_form;

typedef struct mn__key_scan {
    size_t n_head, n_key, width;
    size_t n_list;       /* keys of a list */
    size_t n_high;       /* the first n_high are the best, best first; the others the worst, worst
                          * first */
    const mn__real *key; /* [n_head][2][n_key][width] */
    const mn__real *query;
    mn__query_form form; /* part is unused */
} mn__key_scan;

/* list, value [n][n_head][2][n_list]: keys listed and their products with the query. */
void mn__key_scan_run(const mn__key_scan *k, const mn__env *env, size_t n, uint32_t *list,
                      mn__real *value);
/* Products of tokens [begin, end) with all keys of one head and axis into out[end-begin][n_key],
 * by all threads. */
void mn__key_products(const mn__key_scan *k, const mn__env *env, size_t begin, size_t end,
                      size_t head_axis, mn__real *out);

/* Scores were products of a query's part s with part s of a listed key. */
typedef struct mn__key_back {
    size_t n_head, n_key, n_part, width; /* keys [n_head][2][n_key][n_part][width] */
    size_t n_list;
    const uint32_t *list;   /* [n][n_head][2][n_list] */
    const mn__real *dscore; /* [n][n_head][2][n_list][n_part] */
    const mn__real *key, *query;
    mn__query_form form;
    mn__real *dquery; /* of the query's form: added to */
    mn__real *dkey;   /* as key: added to; NULL: left */
} mn__key_back;

void mn__key_back_run(const mn__key_back *k, const mn__env *env, size_t n);

#endif
