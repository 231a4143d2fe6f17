/** @file watch.h  What a session forgets: looking on while it does, and a page about a whole
 * reading.
 *
 *  An onlooker sees every eviction event and, where it asks for that, every row of attention. A
 * watch reads a text under a policy with an onlooker of its own and sums up what was forgotten:
 * figures by layer and by kind of token, and an HTML page that opens without a network. */
#ifndef MNEME_WATCH_H
#define MNEME_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/eval.h"
#include "mneme/session.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- onlookers ---- */

/** One lane (KV head of a full-attention layer) as it is cut. All is borrowed for the call. */
typedef struct mn_watch_lane {
    uint64_t event; /* number of the event, from 0 */
    size_t layer, head;
    size_t n;             /* tokens that the lane held */
    const int32_t *token; /* [n] indices into the text, ascending */
    const float *score;   /* [n] what was chosen by: shared and pooled, NaN as minus infinity */
    const uint8_t *mark;  /* [n] odd: not to be chosen but kept (first, recent, pinned tokens) */
    const uint32_t *keep; /* [n_keep] slots that stay, ascending; NULL: all n of them */
    size_t n_keep;
    bool has_threshold; /* scores below `threshold` go */
    double threshold;
} mn_watch_lane;

typedef enum mn_watch_when {
    MN_WATCH_PROMPT_END, /**< the prompt was read, or mn_session_evict */
    MN_WATCH_CHUNK,      /**< a chunk of the prompt was read */
    MN_WATCH_DECODE      /**< a token was generated */
} mn_watch_when;

/** An event at which lanes were looked at. */
typedef struct mn_watch_event {
    uint64_t event; /* from 0 */
    int64_t n_seen; /* tokens read and written so far */
    mn_watch_when when;
} mn_watch_event;

/** Attention that one query head paid to a run of a lane's tokens. Borrowed for the call. */
typedef struct mn_watch_attention {
    size_t layer, head;      /* KV head */
    size_t i_group, n_group; /* which query head of those that share it */
    int64_t query;           /* index in the text of row 0; rows are consecutive tokens */
    size_t n_query;          /* at most 16 */
    size_t n;
    const int32_t *token; /* [n] indices into the text, ascending */
    const float *p; /* [n_query][ld] probabilities, 0 where the query does not see the token */
    size_t ld;
} mn_watch_attention;

/** Who looks on; functions may be NULL. What `lane` and `attention` do must be fit for several
 * threads. */
typedef struct mn_onlooker {
    /** Before the cut, from any thread of the session, each lane once. Lanes that nothing is asked
     * of (shorter than their budget, layers that are spared) are left out. */
    void (*lane)(const mn_watch_lane *lane, void *ctx);
    /** After it, from the session's thread. An event at which no lane was looked at is none. */
    void (*event)(const mn_watch_event *event, void *ctx);
    /** Full-attention layers alone. From any thread: a lane's runs of tokens may come at once, but
     * for one run the queries come in order, the heads of the group one after the other for the
     * same rows. Costs a second sweep over the scores, as policies that look at attention do. */
    void (*attention)(const mn_watch_attention *rows, void *ctx);
    void *ctx;
} mn_onlooker;

/** Have `o` look on from now on; NULL: nobody. Copied; ctx must outlive the session or the next
 * call. Changes nothing that the session computes, and costs nothing while nobody looks. Forks are
 * not watched. Numbers of events begin anew. */
MN_API void mn_session_watch(mn_session *s, const mn_onlooker *o);

/* ---- a whole reading ---- */

/** A text read, and written on, under a policy, with all that was forgotten. One thread at a time.
 */
typedef struct mn_watch mn_watch;

enum { MN_WATCH_SERIES_MAX = 8 };

/** What to watch. Fill with mn_watch_params_default first. All is borrowed during the call, but for
 * the strings below `page`, which must stay. */
typedef struct mn_watch_params {
    mn_session_params session;    /**< `also` is not looked at */
    size_t max_token;             /**< of the text and what is written behind it; 1 or more */
    const size_t *series;         /**< [n_series] tokens of the text whose attention is recorded */
    size_t n_series;              /**< at most MN_WATCH_SERIES_MAX; 0: mn_watch_again may choose */
    bool no_attention;            /**< record none, which is faster: no series, no page */
    const char *page;             /**< the page's path; NULL: none. Tried when the watch is made */
    const char *model;            /**< a name for page and document; NULL: that in the file */
    const char *chart_js, *d3_js; /**< Chart.js 3 and d3 3; NULL: where this build found them */
} mn_watch_params;
MN_API void mn_watch_params_default(mn_watch_params *p);

/** @param out  owned, mn_watch_free. The model must outlive it. Holds six bytes per token and lane
 * beside its session.
 *  @return as mn_session_new; MN_EUSAGE (max_token 0, a series beyond the text or too many);
 * MN_EINPUT, MN_EIO (a page that cannot be written, a chart library that is not there). */
MN_API mn_status mn_watch_new(mn_watch **out, const mn_model *m, const mn_watch_params *params,
                              mn_diag *diag);
MN_API void mn_watch_free(mn_watch *w);
/** Its session, to look at. */
MN_API const mn_session *mn_watch_get_session(const mn_watch *w);

/** The text, once: as mn_session_read to the end of a prompt. MN_ERANGE: more than max_token. */
MN_API mn_status mn_watch_read(mn_watch *w, const int32_t *token, size_t n, const float **logits,
                               mn_progress_fn progress, void *progress_ctx, mn_diag *diag);
/** A written token, as mn_session_step. MN_ERANGE: more than max_token. */
MN_API mn_status mn_watch_step(mn_watch *w, int32_t token, const float **logits, mn_diag *diag);
/** Where no series were asked for: choose up to three tokens with a reason (the one that drew the
 * most attention, one in the middle that many heads still hold, the one that drew the most among
 * those that the fewest hold), and read and write all of it again to record theirs. Errors as
 * mn_session_read; nothing is chosen then. */
MN_API mn_status mn_watch_again(mn_watch *w, mn_progress_fn progress, void *progress_ctx,
                                mn_diag *diag);

/** The first token of `text` where it stands first in the text's n tokens (leading white space of
 * a token apart). MN_EINPUT: it does not; MN_EUSAGE: nothing is asked for. */
MN_API mn_status mn_watch_find(const mn_model *m, const int32_t *token, size_t n, const char *text,
                               size_t *out, mn_diag *diag);

/** All figures as one JSON document, handed to `put` piece by piece (docs/watch.md). MN_ENOMEM.
 */
MN_API mn_status mn_watch_json(const mn_watch *w,
                               void (*put)(const char *text, size_t n, void *ctx), void *ctx,
                               mn_diag *diag);
/** Write the page, whole or not at all. MN_EIO, MN_EINPUT, MN_ENOMEM; MN_EUSAGE: none was asked
 * for. */
MN_API mn_status mn_watch_write_page(const mn_watch *w, mn_diag *diag);

/** The figures of several texts: prompts of evaluation's tasks, each read once under the policy of
 * `params->session` (nothing is written). Of params count tasks, data, haystack, length, limit (0:
 * four a task), split, skip_bad, chat, chat_template, session, model, progress, note, stop. The
 * document has `tasks`: name, family, texts, mean tokens and kept share, and the means over texts
 * of what mn_watch_json calls layers and all.
 *  @return as mn_eval_run and mn_session_new. */
MN_API mn_status mn_watch_tasks_json(const mn_model *m, const mn_eval_params *params,
                                     void (*put)(const char *text, size_t n, void *ctx), void *ctx,
                                     mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
