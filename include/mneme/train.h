/** @file train.h  Language models trained from scratch on this machine: dense ones, and those whose
 * feed-forward layers are experts, memories or look-ups.
 *
 *  A config, an INI file with options in sections, says what is trained on what and how
 *  (docs/training-options.md; mn_train_option_get). One call does all: it learns or takes a
 *  tokenizer, writes token shards, trains, validates, logs, and keeps checkpoints in a folder, in
 *  which the same call goes on. docs/training.md begins at the beginning. */
#ifndef MNEME_TRAIN_H
#define MNEME_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A report: a step, and what led to it. */
typedef struct mn_train_line {
    uint64_t step, n_step; /**< made; of the whole training */
    uint64_t tokens;       /**< read by them */
    double loss, aux;  /**< nats a token of this step; auxiliary losses, coefficients included */
    double valid_loss; /**< on what is held out; NAN: not asked at this step */
    double norm;       /**< of the step's gradients, before clipping */
    double rate, value_rate; /**< it was made with; of memories' rows */
    double tokens_per_s;     /**< of the steps since the report before, and of them alone */
    double gemm_peak_share;  /**< FLOPs a second over all ranks' `peak`; NAN: not known */
    double seconds;          /**< since the report before, all that was done counted */
    double seconds_left;     /**< expected */
} mn_train_line;

/** What the model writes at some step. */
typedef struct mn_train_sample {
    uint64_t step;
    const char *prompt, *text; /**< UTF-8; borrowed during the call */
} mn_train_sample;

/** What goes to a rank and what comes from it. */
typedef struct mn_train_block {
    const void *out;
    void *in;
    size_t out_bytes, in_bytes;
} mn_train_block;

/** The processes of a training, all of which call mn_train_run with the same parameters. One that
 * fails returns at once: the caller ends the others. */
typedef struct mn_train_ranks {
    int rank, n;
    /** with [n], one block for each rank: every rank calls it, and has what all sent to it when it
     * returns. Bytes from a to b are the same on both; 0 are allowed, then with a pointer that may
     * be NULL, and more than INT_MAX. The callee copies a rank's own block too, whose in may be its
     * out; outs may be one buffer, ins overlap nothing else. No buffer is touched behind the
     * return, a failure's too. It waits though `stop` asks for an end: ranks agree on that by
     * swaps, and rank 0 may be writing a checkpoint. From one thread. MN_ECANCEL: a rank is gone.
     */
    mn_status (*swap)(void *ctx, const mn_train_block *with, mn_diag *diag);
    void *ctx;
} mn_train_ranks;

/** A training. Fill with mn_train_params_default first. Strings are borrowed during the call; any
 * of the functions may be NULL, all are called from the caller's thread. */
typedef struct mn_train_params {
    const char *config;     /**< an INI file; NULL: defaults alone */
    const char *const *set; /**< [n_set] "section.key=value", over what the file says */
    size_t n_set;
    const char *dir;                     /**< folder of the run; made when absent */
    int n_thread;                        /**< 0: as train.threads says */
    const char *commit, *compiler, *cpu; /**< for run.json; not NULL */
    void (*line)(void *ctx, const mn_train_line *line);
    void (*sample)(void *ctx, const mn_train_sample *sample);
    void (*step)(void *ctx, uint64_t step, uint64_t n_step, double seconds_left); /**< each */
    /** Tokens are being made: bytes of the files read so far, as they lie there. */
    void (*tick)(void *ctx, const char *what, uint64_t done, uint64_t total);
    void (*note)(void *ctx, const char *sentence); /**< where it goes on; what is amiss */
    /** FLOPs a second of this machine's best products in bf16 or f32; asked once, before the first
     * step, unless report.peak is no. 0: not known. */
    double (*peak)(void *ctx, bool bf16, int n_thread);
    bool (*stop)(void *ctx); /**< ends after the step under way, with a checkpoint */
    void *ctx;
    mn_train_ranks ranks; /**< n 1: alone. Of several, rank 0 alone tells anything, and writes */
} mn_train_params;
MN_API void mn_train_params_default(mn_train_params *p);

typedef struct mn_train_result {
    uint64_t step, n_new;    /**< steps made in all, and by this call */
    double loss, valid_loss; /**< of the last report of this call; NAN: none */
} mn_train_result;

/** Train in a folder, or go on there, to the same bits as without a pause and with any number of
 * threads. DIR holds train.ini (every option, resolved), run.json (what it was started with),
 * checkpoint.gguf (the checkpoint, and the one before as checkpoint.gguf.1), tokenizer.gguf,
 * log.sqlite (a row a report) and, unless data.shards names another folder, the tokens. What a
 * killed process left half written is removed.
 *  @return MN_OK; MN_EUSAGE (an option, or a difference from what the folder was made with, named);
 * MN_ERANGE; MN_EINPUT (texts that are no UTF-8 or empty, damaged files); MN_EFAIL (loss or
 * gradients are not finite: step, tensor and last checkpoint named; another process trains there);
 * MN_ECANCEL (stopped, the checkpoint written); MN_EIO; MN_ENOMEM. */
MN_API mn_status mn_train_run(const mn_train_params *params, mn_train_result *out, mn_diag *diag);

/** Does a training stand in this folder? */
MN_API bool mn_train_is_run(const char *dir);
/** Write DIR/report.json, all of log.sqlite and run.json, and DIR/report.html, its curves, samples
 * and tables as one page that needs nothing else. chart_js: a file of Chart.js 3; NULL: where this
 * build found it.
 *  @return MN_OK; MN_EINPUT (no run there; no chart library, with the package that brings it);
 * MN_EIO; MN_ENOMEM. */
MN_API mn_status mn_train_report(const char *dir, const char *chart_js, mn_diag *diag);

/** An option of configs. */
typedef struct mn_train_option {
    const char *section, *key; /**< key "": a section begins, of which `meaning` speaks */
    char value[64];            /**< default, as it would be written */
    char range[160];           /**< "1 to 65536", "yes or no", "dense, moe, ..."; "": a text */
    const char *changes; /**< "model": what is trained; "run": its numbers, which a resumed run
                              must have; "free" */
    const char *meaning;
} mn_train_option;
/** Option i, sections before their keys. false: there is none. */
MN_API bool mn_train_option_get(size_t i, mn_train_option *out);

#ifdef __cplusplus
}
#endif
#endif
