/* namm_rows.h: the inputs of every lane at one event, for NAMMs of the same file that meet the same
 * cache one after the other (candidates of an evolution): the first writes them down, the others
 * read them. Looking at all keys and values is most of what a small network costs. */
#ifndef MN_NAMM_ROWS_H
#define MN_NAMM_ROWS_H

#include "cache/policy_ops.h"

typedef struct mn__namm_rows mn__namm_rows;

/* Room for the cache as it stands, nothing written there. *rows NULL: a new one, the caller's
 * (mn__namm_rows_free). n_in: columns. */
mn_status mn__namm_rows_fit(mn__namm_rows **rows, const mn__cache *cache, size_t n_in,
                            mn_diag *diag);
void mn__namm_rows_free(mn__namm_rows *rows); /* NULL is fine */

/* x [v->n][n_in] of the lane, or NULL where the cache has moved on. */
float *mn__namm_rows_of(const mn__namm_rows *rows, const mn__score_view *v);
/* Was it written? Threads may ask about and write different lanes. */
bool mn__namm_rows_has(const mn__namm_rows *rows, const mn__score_view *v);
void mn__namm_rows_written(mn__namm_rows *rows, const mn__score_view *v);

#endif
