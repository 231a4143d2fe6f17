/* store.h: the records of `mneme eval`, one SQLite file. What a run has written stays, whatever
 * ends it: each record is one transaction, opening recovers, and a record's key (run, prompt,
 * policy, budget, seed) can stand there once. Processes may read while one writes. Several writers,
 * as the ranks of MPI, each take a file of their own, which is merged later.
 *
 * A store is one thread's at a time, and not of a child that was forked with it open. SQLite's own
 * memory (a cache of 2 MB a store) is not in the ledger.
 *
 * Statuses of all functions, beside those that they name: MN_EINPUT for what is no store, one of
 * another version or a damaged one; MN_EIO for a file that cannot be opened, read or written and a
 * disk that is full (nothing is lost; the call may be repeated); MN_EFAIL when another process
 * has held the file for 10 seconds; MN_ENOMEM. The sentence names the file. */
#ifndef MN_EVAL_STORE_H
#define MN_EVAL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct mn__store mn__store;

/* What the records of a run have in common. Texts are UTF-8 and not NULL. */
typedef struct mn__store_run {
    const char *created; /* as 2026-01-31T12:00:00Z */
    const char *version, *git_commit;
    const char *machine;
    const char *model, *model_hash; /* path; hash of the file */
    const char *chat_template;      /* raw, chat */
    const char *evict;              /* prompt, context */
    const char *options;            /* JSON of all else that a result depends on */
    uint64_t seed;
    uint32_t n_ctx;
} mn__store_run;

typedef struct mn__store_prompt {
    const char *task, *source_id; /* id in the source, or row */
    const char *source_file, *family, *language;
    const char *gold; /* JSON array of the answers */
    /* JSON object of what the task knows of it. Reports look at "depth" (of a needle, 0 to 1),
     * "length" (tokens that were asked for) and show the rest as it stands. */
    const char *facts;
    uint64_t hash; /* of the exact token ids and of all that an answer is scored by */
    uint32_t n_token;
} mn__store_prompt;

typedef struct mn__store_record {
    /* As on the command line, with the names of files and a hash of their bytes in place of paths
     * (mn_policy_name). Two names stand for themselves in reports: `full`, the whole cache,
     * and `empty`, the same prompt without its context. */
    const char *policy, *budget;
    uint64_t seed;
    const char *acts;      /* when it evicts: never, end (of the prompt), reading (all along) */
    const char *metric;    /* of the score; NULL: the task has none */
    const char *status;    /* "ok", or a sentence: why there is no score; see also below */
    const char *output;    /* any bytes but zero; NULL: nothing was generated */
    double score;          /* 0 to 1; NAN: none */
    const float *nll, *kl; /* [n_gold] nats per token of the gold answer; NULL: not measured */
    size_t n_gold;         /* below 2^24 */
    uint64_t gold_bytes;   /* of the text of those tokens; 0: not known */
    /* Tokens held over tokens seen, mean over the lanes of full-attention layers; NAN: not
     * measured. share_answer: mean over the steps of the answer. share_prompt: right behind the
     * prompt's last cut, over what was read until then, as papers count it. */
    double share_answer, share_prompt;
    /* JSON: tokens held by each head of each layer as the answer begins, [[412,398],[501,300]];
     * null in place of a layer with a sliding window. NULL: not measured. */
    const char *kept;
    uint64_t kv_bytes, policy_bytes, peak_bytes; /* of full-attention layers as the answer
                                                    begins; peak: of KV, the most until then */
    double prefill_s, decode_s;
    uint32_t n_generated;
} mn__store_record;

/* A status that begins so stands for a prompt that could not be asked at all, and goes on to say
 * why: one record under `full`, which counts as none. */
#define MN__STORE_LEFT_OUT "left out: "

typedef enum mn__store_mode {
    MN_STORE_READ, /* an existing file; nothing in it changes */
    MN_STORE_WRITE /* made when it is not there */
} mn__store_mode;

mn_status mn__store_open(mn__store **out, const char *path, mn__store_mode mode, mn_diag *diag);
void mn__store_close(mn__store *s); /* NULL is fine */

/* 16 hex digits of everything in `run` that a result depends on: all but created, machine and the
 * model's path. Two processes with the same build, model and options are one run. */
void mn__store_run_id(char id[17], const mn__store_run *run);

/* ---- writing: each call is one transaction ---- */

/* The key of this run, or prompt, in this file; entered when it is new. What an entered one does
 * not differ by (created, machine; a prompt's file, family, language, gold, facts) stays. A prompt
 * is told by task, source_id and hash. */
mn_status mn__store_add_run(mn__store *s, const mn__store_run *run, int64_t *key, mn_diag *diag);
mn_status mn__store_add_prompt(mn__store *s, const mn__store_prompt *prompt, int64_t *key,
                               mn_diag *diag);

typedef struct mn__store_place { /* keys of this file */
    int64_t run, prompt;
} mn__store_place;
/* Enter a record. *added (may be NULL) says false when one with its key is there already: that one
 * stays. MN_ERANGE: no such run or prompt. */
mn_status mn__store_add_record(mn__store *s, mn__store_place at, const mn__store_record *r,
                               bool *added, mn_diag *diag);

typedef struct mn__store_merged {
    uint64_t n_run, n_prompt, n_record; /* new here */
    uint64_t n_duplicate;               /* records that were here already */
    uint64_t n_conflict; /* of those, with another result: the one that was here stays */
    char conflict[512];  /* the first of them, in words */
} mn__store_merged;
/* Enter what another store holds, whole or not at all; that file stays as it is. Times and peak
 * bytes may differ between duplicates, results may not. MN_EINPUT also when it is the same file. */
mn_status mn__store_merge(mn__store *s, const char *path, mn__store_merged *out, mn_diag *diag);

/* ---- reading ---- */

/* Whether a record with r's policy, budget and seed is there. One look into an index: microseconds.
 */
mn_status mn__store_has_record(mn__store *s, mn__store_place at, const mn__store_record *r,
                               bool *has, mn_diag *diag);

/* Called for each run, or record, with texts and arrays that are borrowed until it returns. What it
 * returns other than MN_OK ends the visit and is returned. It must not start a visit of the same
 * kind. */
typedef mn_status mn__store_visit_run(void *ctx, int64_t key, const mn__store_run *run);
typedef mn_status mn__store_visit_record(void *ctx, int64_t prompt_key,
                                         const mn__store_prompt *prompt,
                                         const mn__store_record *record);

/* Runs, the oldest first. */
mn_status mn__store_each_run(mn__store *s, mn__store_visit_run *visit, void *ctx, mn_diag *diag);
typedef struct mn__store_query {
    int64_t run;
    const char *task; /* NULL: all */
} mn__store_query;
/* Records by task, source_id, hash, policy, budget, seed, compared as bytes: an order that does not
 * depend on who wrote when. All records of a prompt follow each other. What is written meanwhile is
 * not seen. */
mn_status mn__store_each_record(mn__store *s, const mn__store_query *q,
                                mn__store_visit_record *visit, void *ctx, mn_diag *diag);

#endif
