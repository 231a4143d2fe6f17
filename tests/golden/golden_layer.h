/* golden_layer.h: what replaying a layer takes: arrays of any shape, their comparison, and a pass
 * over a planned tape. Numbers are the library's: float. */
#ifndef GOLDEN_LAYER_H
#define GOLDEN_LAYER_H

#include "golden/golden.h"
#include "layer/layer.h"

enum { GOLDEN_DIMS = 6 };

/* An array with the shape that the file gives it. */
typedef struct golden_array {
    double *x; /* free */
    size_t dim[GOLDEN_DIMS], n_dim, n;
} golden_array;

/* Nested lists of n_dim levels, none empty or ragged. */
bool golden_array_read(golden *g, const json_t *obj, const char *name, size_t n_dim,
                       golden_array *out);
/* The same as floats of a shape that is known (ends with 0); free. */
float *golden_floats(golden *g, const json_t *obj, const char *name, const size_t *shape);

/* How near found must be to want: abs + rel |want| + of_max max(floor, max |want| of the array). */
typedef struct golden_tolerance {
    double abs, rel, of_max, floor;
} golden_tolerance;
/* n numbers of obj's field, which may be nested in any way, against what was found. */
bool golden_compare(golden *g, const json_t *obj, const char *name, const float *found, size_t n,
                    golden_tolerance t);

/* Parameters in arrays of their own, threads, a tape. */
typedef struct golden_rig {
    mn__params list;
    float *w, *gradient, *state;
    mn__tape tape;
    mn__env env;
    struct mn__kern kern;
} golden_rig;

/* After the declarations: arrays of zeros for them, a team of two, kernels of
 * golden_level. */
bool golden_rig_bind(golden *g, golden_rig *r);
void golden_rig_fini(golden_rig *r);
/* The file's numbers into a parameter, which must have exactly its shape. */
bool golden_rig_load(golden *g, const json_t *obj, const char *name, const mn__param *p);
/* Plan a pass and run it; the tape keeps what it took. */
bool golden_rig_run(golden *g, golden_rig *r, void (*pass)(const mn__env *env, void *arg),
                    void *arg);

#endif
