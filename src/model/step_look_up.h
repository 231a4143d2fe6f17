/* step_look_up.h: MemoryFormer's layers in a step of one row: signs choose rows of 8-bit tables,
 * which are asked for before they are summed. Ref: arXiv 2411.12992. */
#ifndef MN_MODEL_STEP_LOOK_UP_H
#define MN_MODEL_STEP_LOOK_UP_H

#include <stdbool.h>
#include "base/team.h"
#include "kern/kern.h"

enum {
    MN__LOOK_UP_PARTS = 4,    /* runs of tables that are summed alone: of any number of threads */
    MN__LOOK_UP_TABLES = 256, /* most tables */
};

/* Layers that share a choice have rows one behind the other, as one layer of their widths. */
typedef struct mn__look_up {
    size_t n_table, n_bit, width;
    const int8_t *rows; /* [n_table][2^n_bit][width] */
    const float *scale; /* [n_table][2^n_bit]: of each row */
    const float *bias;  /* [width] */
    float temperature;
    bool by_size; /* scores times the sum of sizes, as the published code */
} mn__look_up;

/* part [MN__LOOK_UP_PARTS][width]: sums over runs of tables for x [n_table n_bit]; the first with
 * the bias. Each thread takes its share; ends without a barrier. */
void mn__look_up_step(const mn__crew *crew, const struct mn__kern *kern, const mn__look_up *l,
                      const float *x, float *part);
/* y [width] = the sum of the parts, in their order, or += with `add`. Any thread. */
void mn__look_up_sum(const mn__look_up *l, const float *part, bool add, float *y);

#endif
