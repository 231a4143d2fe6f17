/* cost.h: what a config costs before anything is trained: parameters, those that a token activates,
 * FLOPs, bytes. Twice: by the formulas of the papers, and by counting what the layers declare and
 * what a dry pass over them multiplies. Nothing of the model's size is allocated. A multiply-add is
 * two FLOPs; all counts are doubles, which are exact up to 2^53. */
#ifndef MN_TRAIN_COST_H
#define MN_TRAIN_COST_H

#include "train/config.h"

struct mn__team;

typedef enum mn__cost_part {
    MN__COST_EMBEDDING, /* and the head */
    MN__COST_ATTENTION, /* queries, keys, values and output of attention; hashes in their place */
    MN__COST_PAIRS,     /* positions with each other: has no parameters */
    MN__COST_FFN,       /* dense layers, experts and their router, projections before look-ups */
    MN__COST_MEMORY,    /* of memories: queries, cores, gates, projections of what was found */
    MN__COST_KEYS,      /* of memories, and the search by them */
    MN__COST_TABLES,    /* rows that are looked up */
    MN__COST_NORMS,     /* norms and biases: formulas leave them out */
    MN__COST_PARTS,
} mn__cost_part;
const char *mn__cost_part_name(mn__cost_part part);

typedef struct mn__cost_row {
    double params, active; /* active: that the forward pass of one token reads */
    double flops;          /* of one token forward; of attention the mean over train.length */
} mn__cost_row;

/* Rows of one kind of table: `n` tables of n_row rows of `width` values, of which each token reads
 * n_hit of each. */
typedef struct mn__cost_table {
    double n, n_row, n_hit, width;
} mn__cost_table;
enum { MN__COST_TABLE_KINDS = 5 };

/* Bytes that a training holds. */
typedef struct mn__cost_memory {
    double weights, gradients, moments; /* f32 masters; two moments */
    double rows;                        /* the optimiser's notes on rows, shuffles of cells */
    double tape;                        /* a pass of train.batch x train.length, by a dry run */
} mn__cost_memory;

typedef struct mn__cost {
    mn__cost_row formula[MN__COST_PARTS], counted[MN__COST_PARTS];
    double forward, backward; /* FLOPs of a token in training, counted; backward: with the forward
                               * passes that train.recompute runs again */
    mn__cost_memory memory;
} mn__cost;

/* `config` has been checked; `team`: as many threads as the training would have (scratch is each
 * thread's), or NULL. What mn__learner_new says; MN_ERANGE: a pass larger than any memory. */
mn_status mn__cost_make(const mn__config *config, struct mn__team *team, mn__cost *out,
                        mn_diag *diag);

/* ---- by formula (cost_formula.c, with their sources) ---- */

void mn__cost_formula(const mn__config *c, mn__cost_row out[MN__COST_PARTS]);
/* Kinds of tables of all blocks, experts not among them; returns how many. */
size_t mn__cost_tables(const mn__config *c, mn__cost_table out[MN__COST_TABLE_KINDS]);
/* Sum over parts. */
mn__cost_row mn__cost_total(const mn__cost_row part[MN__COST_PARTS]);

/* Values of weights that a decode step of `batch` sequences reads, without caches of keys and
 * values: whole matrices once, experts and rows as many different ones as are expected when tokens
 * choose evenly and alone: M (1 - (1 - k/M)^batch). */
typedef struct mn__cost_read {
    double head, dense, experts, keys, rows; /* head: with the rows of the embedding */
} mn__cost_read;
mn__cost_read mn__cost_decode(const mn__config *c, double batch);
/* The same of a feed-forward layer, its memory or its experts alone, as UltraMem's paper counts:
 * dense 8 D^2, experts min(k B, M) 2 D^2, rows min(B m, N) D/2. 0: of other architectures. */
double mn__cost_paper_access(const mn__config *c, double batch);

/* What MemoryFormer's paper claims of a block, in multiply-adds of a token at length `s`. */
typedef struct mn__cost_former {
    double dense, exact, paper; /* outside attention: 12 D^2; sum of rows; (6/tau) D^2 */
    double attention;           /* 2 s D */
} mn__cost_former;
mn__cost_former mn__cost_former_claims(const mn__config *c, double s);

#endif
