/** @file session.h  One sequence being read and written: its KV cache, its policy, its place in the
 * text. A session belongs to one thread at a time; sessions of one model may run on different
 * threads. */
#ifndef MNEME_SESSION_H
#define MNEME_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/model.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mn_session mn_session;

typedef enum mn_kv_type { MN_KV_BF16, MN_KV_F32, MN_KV_Q8 } mn_kv_type;
typedef enum mn_positions {
    MN_POSITIONS_AUTO,
    MN_POSITIONS_ABSOLUTE,
    MN_POSITIONS_COMPACT
} mn_positions;

/** Tokens of the text that are never dropped: [begin, end). */
typedef struct mn_pin {
    int64_t begin, end;
} mn_pin;

/** How to run. Fill with mn_session_params_default first. Strings are copied. */
typedef struct mn_session_params {
    const char *policy; /**< "full", "streaming", "snapkv:window=32", ... (mneme/policy.h) */
    const char *budget; /**< "", "2048" tokens per lane, "25%" kept, "512M" bytes */
    size_t
        n_ctx; /**< most tokens a lane may hold (address space); 0: the model's trained context */
    size_t chunk; /**< tokens read per step (default 512) */
    /** 0: one per processor. All but the caller are the session's own threads: asleep between
     * steps, closed to signals, missing in the child of a fork(). */
    int n_thread;
    mn_kv_type kv_type;
    mn_positions positions; /**< AUTO: what the policy's paper does */
    const mn_pin *pin;      /**< copied */
    size_t n_pin;
    uint64_t seed;
    /** Policies that forks may go on under (mn_session_fork_under), [n_also], copied: what they
     * must see is gathered while this session reads, which takes the policy "full". */
    const char *const *also;
    size_t n_also;
} mn_session_params;
MN_API void mn_session_params_default(mn_session_params *p);

/** Bytes a run will need, before it starts; a test holds them to the ledger's peak. */
typedef struct mn_plan {
    size_t weights_bytes; /* mapped file */
    size_t packed_bytes;  /* own copies */
    size_t kv_peak_bytes, kv_final_bytes, policy_bytes, scratch_bytes;
    size_t total_peak_bytes;
} mn_plan;
MN_API mn_status mn_plan_make(const mn_model *m, const mn_session_params *p, size_t n_prompt,
                              size_t n_generate, mn_plan *out, mn_diag *diag);

/** Start a sequence. @param out owned, mn_session_free. The model must outlive it. */
MN_API mn_status mn_session_new(mn_session **out, const mn_model *m, const mn_session_params *p,
                                mn_diag *diag);
MN_API void mn_session_free(mn_session *s);

/** Called between chunks; return true to stop (the call then returns MN_ECANCEL with all tokens
 * read so far kept). */
typedef bool (*mn_progress_fn)(size_t done, size_t total, void *ctx);

/** Read n tokens (each in [0,V)). When `end_of_prompt`, policies that act there do so afterwards.
 *  @param logits  if not NULL: out [V] unnormalised natural log of the last token's successor;
 * borrowed until the next step
 *  @return MN_OK, MN_ERANGE (a token >= V), MN_EBUDGET (cache full and the policy may not drop
 * enough), MN_ENOMEM, MN_ECANCEL. */
MN_API mn_status mn_session_read(mn_session *s, const int32_t *token, size_t n, bool end_of_prompt,
                                 const float **logits, mn_progress_fn progress, void *progress_ctx,
                                 mn_diag *diag);
/** The same, and the logits of every row to a callback (likelihoods): logits [V] of token i's
 * successor, valid during the call. A row costs 2 V C multiply-adds beside its reading, twice that
 * where products are in bf16. */
typedef void (*mn_logits_fn)(size_t i, const float *logits, void *ctx);
MN_API mn_status mn_session_score(mn_session *s, const int32_t *token, size_t n, mn_logits_fn fn,
                                  void *ctx, mn_diag *diag);
/** Run one generated token. Never allocates. @param logits out [V], borrowed until the next step.
 */
MN_API mn_status mn_session_step(mn_session *s, int32_t token, const float **logits, mn_diag *diag);
/** Workspace for stepping several sessions at once: of contexts up to that of `p`, and of its cache
 * type. */
typedef struct mn_batch mn_batch;
MN_API mn_status mn_batch_new(mn_batch **out, const mn_model *m, const mn_session_params *p,
                              size_t max_session, mn_diag *diag);
MN_API void mn_batch_free(mn_batch *b);
/** One generated token for each of n different sessions of one model in one pass over the weights.
 * A session's bits do not depend on its neighbours. @param logits  out [n][V], one row a session,
 * borrowed until the batch's next step. @return MN_OK; MN_EUSAGE (a session that stands there
 * twice, of another model, a longer context or another cache type), MN_ERANGE, MN_EBUDGET or
 * MN_ENOMEM: no session has moved then. */
MN_API mn_status mn_batch_step(mn_batch *b, mn_session *const *s, const int32_t *token, size_t n,
                               const float **logits, mn_diag *diag);

/** Cut now, whatever the driver says (the question follows on the cut cache: eval's `--evict
 * context`). A policy that looks back on queries and acts at the end of prompts alone drops nothing
 * where nothing was read since it did: it keeps the queries of what is read, not of what is
 * written. */
MN_API mn_status mn_session_evict(mn_session *s, mn_diag *diag);
/** A copy that shares the pages of the past (copy on write). @param out owned. */
MN_API mn_status mn_session_fork(mn_session **out, const mn_session *s, mn_diag *diag);
/** The same, under another policy and budget, as if it had read the text itself; its turn at the
 * prompt's end is still to come (mn_session_evict). The fork gathers nothing for others.
 * @return MN_OK, MN_ENOMEM, MN_EUSAGE: the policy was not named in `also`, or would have forgotten
 * while reading (an option such as chunk=512, a budget in bytes). */
MN_API mn_status mn_session_fork_under(mn_session **out, const mn_session *s, const char *policy,
                                       const char *budget, mn_diag *diag);
/** Forget the last n tokens, as far as they are still held; policy sums are not rewound. */
MN_API mn_status mn_session_rewind(mn_session *s, size_t n, mn_diag *diag);
/** Everything forgotten, ready for another text. */
MN_API void mn_session_clear(mn_session *s);

/** Whole state to a file: atomic, checksummed, versioned. Refused on load when model, options or
 * version differ. */
MN_API mn_status mn_session_save(const mn_session *s, const char *path, mn_diag *diag);
MN_API mn_status mn_session_load(mn_session **out, const mn_model *m, const mn_session_params *p,
                                 const char *path, mn_diag *diag);

/** What the cache holds. */
typedef struct mn_session_info {
    int64_t n_seen;         /* tokens read and written so far */
    int32_t last_token;     /* of them; -1: none, or forgotten by a rewind */
    size_t kv_bytes;        /* held now, full-attention layers */
    size_t kv_window_bytes; /* held now, sliding-window layers */
    size_t kv_full_bytes;   /* what kv_bytes would be had nothing been dropped */
    size_t kv_peak_bytes;   /* the most kv_bytes was */
    size_t policy_bytes;
    size_t state_bytes; /* of attention that carries a state of the whole text instead of keys and
                           values; lanes hold nothing then. 0: it has lanes */
    double kept_share;  /* of tokens seen, mean over full-attention lanes */
    uint64_t n_nan_scores;
    const char *nan_rule; /* what becomes of heads or tokens with such scores, in words; static */
    const char *policy;   /* canonical, all options resolved; borrowed */
    double evict_s, forward_s; /* time spent so far */
} mn_session_info;
MN_API void mn_session_get_info(const mn_session *s, mn_session_info *out);
/** Tokens held by a lane: indices into the text, ascending. Borrowed until the next step. */
MN_API size_t mn_session_kept(const mn_session *s, size_t layer, size_t head,
                              const int32_t **token);

#ifdef __cplusplus
}
#endif
#endif
