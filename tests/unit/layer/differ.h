/* differ.h: gradients of a layer against central differences, in double. */
#ifndef DIFFER_H
#define DIFFER_H

#include "layer/layer.h"

/* A layer as a function of its input, whatever it is; `self` holds what it saves. */
typedef struct subject {
    void *self;
    size_t n_x, n_y; /* values of input and output */
    void (*forward)(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep);
    void (*backward)(void *self, const mn__env *env, const mn__real *dy, mn__real *dx);
    /* What was selected by the last forward that kept, as a number; NULL: nothing is. A difference
     * that changes it is skipped. */
    uint64_t (*selected)(void *self);
    double x_scale; /* of the input's normal values; 0: 1 */
} subject;

/* Fills the parameters of the list (normals of 0.5 around what they are declared to begin with),
 * draws x and dy, and compares every parameter's and the input's gradient with central differences:
 * |found - wanted| <= 1e-5 max(|wanted|, mean |wanted| of the array). Gradients must ADD to what g
 * held, and neither a team of three nor forgetting (keep false) must change a bit. Fails the test
 * with a sentence. */
void differ(const subject *s, const mn__params *list, uint64_t seed);

#endif
