/* cost.h: what a config costs before anything is trained: parameters, those that a token activates,
 * FLOPs, bytes. Twice: by the formulas of the papers, and by counting what the layers declare and
 * what a dry pass over them multiplies. Nothing of the model's size is allocated. A multiply-add is
 * two FLOPs; all counts are doubles, which are exact up to 2^53. */
#ifndef MN_TRAIN_COST_H
#define MN_TRAIN_COST_H

#include "mneme/layers.h"
#include "lm/config.h"

struct mn__team;

/* Rows of one kind of table: `n` tables of n_row rows of `width` values, of which each token reads
 * n_hit of each. */
typedef struct mn__cost_table {
    double n, n_row, n_hit, width;
} mn__cost_table;
enum { MN__COST_TABLE_KINDS = 5 };

/* `config` has been checked; `team`: as many threads as the training would have (scratch is each
 * thread's), or NULL. What mn__learner_new says; MN_ERANGE: a pass larger than any memory. */
mn_status mn__cost_make(const mn__config *config, struct mn__team *team, mn_cost *out,
                        mn_diag *diag);

/* ---- by formula (cost_formula.c, with their sources) ---- */

void mn__cost_formula(const mn__config *c, mn_cost_row out[MN_COST_PARTS]);
/* Kinds of tables of all blocks, experts not among them; returns how many. */
size_t mn__cost_tables(const mn__config *c, mn__cost_table out[MN__COST_TABLE_KINDS]);
/* Different ones of M that tokens choose: M (1 - (1 - k/M)^batch). */
mn_cost_decode mn__cost_decode(const mn__config *c, double batch);
mn_cost_claims mn__cost_former_claims(const mn__config *c, double length);

#endif
