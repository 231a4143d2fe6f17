/** @file layers.h  What layers cost: a config of a training before anything is trained, and times
 * of layers beside rivals of the same shape and the machine's limits. docs/costs.md has the words.
 *
 *  Papers: arXiv 2411.12992 (MemoryFormer), 2411.12364 and 2508.18756 (UltraMem), 1907.05242
 *  (product keys), 2412.09764 (Memory+), 2409.02060 (experts). */
#ifndef MNEME_LAYERS_H
#define MNEME_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Parts of a model. name, text */
#define MN_COST_PART_MAP(X)                                                                      \
    X(EMBEDDING, "embedding and head")                                                           \
    X(ATTENTION, "attention") /* its matrices; hashes in their place */                          \
    X(PAIRS, "pairs of positions")                                                               \
    X(FEED_FORWARD, "feed-forward") /* dense, experts and router, projections before look-ups */ \
    X(MEMORY, "memory")             /* queries, cores, gates, projections of what was found */   \
    X(KEYS, "keys")                 /* of memories, and the search by them */                    \
    X(TABLES, "tables")             /* rows that are looked up */                                \
    X(NORMS, "norms and biases")    /* formulas leave them out */

typedef enum mn_cost_part {
#define X(name, text) MN_COST_##name,
    MN_COST_PART_MAP(X)
#undef X
        MN_COST_PARTS
} mn_cost_part;
MN_API const char *mn_cost_part_name(mn_cost_part part);

/** Of one part: parameters, those that the forward pass of one token reads, its FLOPs (two for a
 * multiply-add; of attention the mean over the training's length). Exact up to 2^53. */
typedef struct mn_cost_row {
    double params, active, flops;
} mn_cost_row;

/** Values of weights that a decode step of `batch` sequences reads, without caches of keys and
 * values: matrices once, experts and rows as many different ones as are expected when tokens choose
 * evenly. paper_layer: of a feed-forward layer, as UltraMem's paper counts; 0: it says nothing. */
typedef struct mn_cost_decode {
    double batch, head, dense, experts, keys, rows, paper_layer;
} mn_cost_decode;
enum { MN_COST_BATCHES = 3 }; /**< 1, 8 and 64 sequences */

/** Multiply-adds of one token in a MemoryFormer block and its dense twin, outside attention: 12
 * D^2; sum of rows; the paper's (6/tau) D^2; and of attention at `length`: 2 length D. length 0:
 * the config is of another architecture. */
typedef struct mn_cost_claims {
    double length, dense, rows, formula, attention;
} mn_cost_claims;

enum { MN_COST_VOCAB = 8192 }; /**< tokens that are counted where the tokenizer is to say */

typedef struct mn_cost {
    char arch[32], mixer[32]; /**< "ultramem", "softmax" */
    size_t n_block, width;
    size_t n_vocab;       /**< 0: the tokenizer's, MN_COST_VOCAB counted */
    size_t length;        /**< tokens of a sequence */
    size_t batch, passes; /**< sequences of a pass; passes of a step */
    size_t n_step;        /**< of the whole training; 0: the config does not say */
    mn_cost_row formula[MN_COST_PARTS], counted[MN_COST_PARTS];
    double train_forward, train_backward; /**< FLOPs of a token, counted; backward with the forward
                                           * passes that train.recompute runs again */
    double weights_bytes, gradients_bytes, moments_bytes;
    double rows_bytes; /**< the optimiser's notes on rows, shuffles of cells */
    double pass_bytes; /**< the tape of a pass of batch x length */
    mn_cost_decode decode[MN_COST_BATCHES];
    mn_cost_claims claims;
} mn_cost;

/** Sum over parts. */
MN_API mn_cost_row mn_cost_total(const mn_cost_row part[MN_COST_PARTS]);

/** What the config in an INI file (NULL: defaults alone) costs, with `set`, texts
 * "section.key=value", over it: whatever mn_train_run refuses in a config is refused here, but that
 * it has neither steps nor tokens. Nothing of the model's size is allocated. Scratch is each
 * thread's: n_thread 0: as many as the config says.
 *  @return MN_OK; MN_EUSAGE (no such option, the nearest suggested; not a value); MN_EINPUT (a line
 * that is none); MN_ERANGE (sizes that cannot be); MN_EIO; MN_EFAIL (built without inih);
 * MN_ENOMEM. Any thread. */
MN_API mn_status mn_cost_plan(const char *config, const char *const *set, size_t n_set,
                              int n_thread, mn_cost *out, mn_diag *diag);

/** One time of one layer. Texts are borrowed for the call. */
typedef struct mn_layer_time {
    const char *layer, *shape, *phase; /**< phase: forward, backward, decode */
    const char *dtype, *uses;          /**< uses: how it computes */
    double params, active;             /**< of what is timed; active: that a token reads */
    size_t batch;                      /**< rows */
    double us, us_min;                 /**< median, least */
    double bytes, flops;               /**< weights and caches read; work */
    const char *rival;                 /**< whom of the same shape it is compared with, or NULL */
    double rival_us, ratio;            /**< ratio: rival_us / us */
    const char *limit;                 /**< read, random or gemm */
    double limit_share;                /**< of that limit of the machine; 0: not known */
} mn_layer_time;

typedef struct mn_layer_bench {
    int n_thread;        /**< 0: one per processor */
    const char *cpu;     /**< level of kernels; NULL: "auto" */
    size_t n_repeat;     /**< measurements, of which the median counts: 1 to 64 */
    bool quick;          /**< tiny shapes: a check of the bench, no result */
    double read_rate;    /**< limits, measured by the caller: bytes/s of one long read, */
    double product_rate; /**< FLOP/s of a product in f32; 0: not known */
    void (*row)(void *ctx, const mn_layer_time *row);
    void (*note)(void *ctx, const char *sentence); /**< what was left out, and why */
    bool (*stop)(void *ctx);                       /**< asked between measurements; or NULL */
    void *ctx;
} mn_layer_bench;

/** Time all layers. Takes up to 16 GB, and leaves out what does not fit.
 *  @return MN_ECANCEL: stopped; MN_EUSAGE: the level; MN_ERANGE; MN_ENOMEM. One at a time. */
MN_API mn_status mn_layer_bench_run(const mn_layer_bench *bench, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
