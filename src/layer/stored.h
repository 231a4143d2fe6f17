/* stored.h: parameters as a model's file holds them, for inference: matrices behind the engine's
 * products, tables in fewer bits. In float alone. */
#ifndef MN_LAYER_STORED_H
#define MN_LAYER_STORED_H

#include "layer/layer.h"
#include "tensor/linear.h"

typedef struct mn__stored {
    mn__weight *matrix; /* [n_matrix] of a matrix; without biases */
    size_t n_matrix;
    /* Of a table: one of the two, rows of mn__param.row values. */
    const mn_bf16 *bf16;
    const int8_t *q8;
    const float *scale; /* of each row of q8 */
} mn__stored;

#ifndef MN_REAL_DOUBLE
/* y [n][w->n_out] = x [n][w->n_in] w'. Before inference the products of env were planned for as
 * many rows and inputs. */
void mn__stored_linear(const mn__weight *w, const mn__env *env, size_t n, const float *x, float *y);
/* y [width] = bias + sum over i of score[i] row[i] of a table whose rows count as n_part each,
 * table->row / n_part = width wide; bias may be NULL. work [n_row]: scratch. env has kernels. */
typedef struct mn__gather_rows {
    const mn__param *table;
    size_t n_part;
    const uint32_t *row;
    const float *score, *bias;
    size_t n_row;
    float *work;
} mn__gather_rows;
void mn__stored_gather(const mn__env *env, const mn__gather_rows *g, float *y);
/* <z, row of the table> */
float mn__stored_dot(const mn__param *table, size_t row, const float *z);
#endif

#endif
