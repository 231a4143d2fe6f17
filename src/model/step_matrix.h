/* step_matrix.h: matrices in bf16 for steps of few rows: every panel is read once and meets all
 * rows. Shapes: B rows of a step, one of each sequence. */
#ifndef MN_MODEL_STEP_MATRIX_H
#define MN_MODEL_STEP_MATRIX_H

#include <stdbool.h>
#include "base/team.h"
#include "kern/kern.h"

enum {
    MN__STEP_ROWS = 64, /* most rows of a step */
    MN__STEP_FEW = 12,  /* fewer rows than these: vectors keep up with memory, tiles do not */
};

/* What steps compute with. */
typedef struct mn__step_kern {
    struct mn__kern best, few;
} mn__step_kern;
void mn__step_kern_init(mn__step_kern *k, int level); /* mn__cpu_level */

typedef struct mn__matrix {
    size_t n_in, n_out;   /* n_in: a multiple of 32 */
    const mn_bf16 *panel; /* [n_out/32, rounded up][n_in/2][32][2] (kern.def: mm_bf16); borrowed */
} mn__matrix;
/* bf16 values of its panels. */
size_t mn__matrix_values(const mn__matrix *m);
/* Panels of w [n_out][n_in], on the calling thread. */
void mn__matrix_pack(const mn__matrix *m, const struct mn__kern *kern, const float *w,
                     mn_bf16 *out);

/* Rows that meet a matrix. */
typedef struct mn__step_rows {
    const mn_bf16 *x; /* [n][ld] */
    size_t n, ld;     /* n up to MN__STEP_ROWS */
} mn__step_rows;

/* Outputs of panel i for all rows, c [n][32]. The caller holds tiles of the kernels that
 * mn__step_choose gives. */
void mn__matrix_panel(const mn__matrix *m, const struct mn__kern *kern, size_t i,
                      const mn__step_rows *rows, float *c);
static inline const struct mn__kern *mn__step_choose(const mn__step_kern *k, size_t n_row)
{
    return n_row < MN__STEP_FEW ? &k->few : &k->best;
}

/* y [n][ld_y] = x W', or += with `add`; of several matrices that share x side by side. Every thread
 * of the crew takes its share of the panels; ends without a barrier. */
typedef struct mn__step_product {
    const mn__matrix *m;
    size_t n_matrix;
    mn__step_rows rows;
    float *y;
    size_t ld_y; /* matrix i begins n_out of those before it further on */
    bool add;
} mn__step_product;
void mn__step_multiply(const mn__crew *crew, const mn__step_kern *k, const mn__step_product *p);

#endif
