/* golden_memory.h: what the golden files of memory layers have in common: parameters under the
 * names of published code, a batch with the gradient of its output, selections that must agree
 * exactly. */
#ifndef GOLDEN_MEMORY_H
#define GOLDEN_MEMORY_H

#include "golden/golden_layer.h"
#include "layer/tucker_search.h"

/* 2e-5 and 5e-5 of max(1e-3, largest value wanted): the files' README. */
extern const golden_tolerance golden_out, golden_grad;

/* A parameter of ours and its name in the file. */
typedef struct golden_tie {
    const char *name;
    mn__param *p;
    bool swap;    /* the file has the last two axes the other way round */
    size_t n_row; /* > 0: the file has all axes but the last as one of so many */
} golden_tie;

/* A file's values into parameters; and the other way: gradients, and a copy of theirs. */
bool golden_ties_load(golden *g, const json_t *params, const golden_tie *tie, size_t n);
bool golden_ties_compare(golden *g, const json_t *grads, const golden_tie *tie, size_t n);
/* The field's numbers are all 0: of parameters that nothing trains. */
bool golden_is_zero(golden *g, const json_t *obj, const char *name, size_t n);

bool golden_floats_out(golden *g, const char *name, const float *found, size_t n);
bool golden_indices(golden *g, const json_t *obj, const char *name, const uint32_t *found,
                    size_t n);
/* The scalar `name` of outputs. */
bool golden_scalar(golden *g, const char *name, double found);

/* Whether a file has what a layer's file has and nothing else. */
bool golden_layer_fields(golden *g);
const json_t *golden_part(const golden *g, const char *name); /* config, params, ... */

/* inputs.x and inputs.grad_out: rows of n_x and n_y numbers, n rows, nested `levels` deep in all.
 */
typedef struct golden_batch {
    size_t n;
    float *x, *dy, *y, *dx; /* golden_batch_fini */
} golden_batch;
bool golden_batch_read(golden *g, size_t n, size_t n_x, size_t n_y, size_t n_seq, golden_batch *b);
/* y, the loss and the gradient of the input. */
bool golden_batch_compare(golden *g, size_t n_x, size_t n_y, const golden_batch *b);
void golden_batch_fini(golden_batch *b);

/* Ties of a layer under a prefix of the file's names. */
enum { GOLDEN_TIES = 24, GOLDEN_NAME = 96 };
typedef struct golden_list {
    golden_tie tie[GOLDEN_TIES];
    char name[GOLDEN_TIES][GOLDEN_NAME];
    size_t n;
} golden_list;
golden_tie *golden_list_add(golden_list *l, const char *prefix, const char *name, mn__param *p);
/* Parameters of an UltraMem's search; and from the file, which need no gradient, its u, v and
 * shuffle. */
void golden_list_search(golden_list *l, const char *prefix, mn__tucker_search *s);
bool golden_search_load(golden *g, const char *prefix, mn__tucker_search *s);

#endif
