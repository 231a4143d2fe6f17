/* watch_internal.h: what a watch (mneme/watch.h) holds, for the files that fill it, sum it up and
 * write it down. */
#ifndef MN_EVAL_WATCH_INTERNAL_H
#define MN_EVAL_WATCH_INTERNAL_H

#include <jansson.h>
#include <stdio.h>

#include "mneme/watch.h"

enum {
    MN__STFT_WINDOW = 32,
    MN__STFT_HOP = 16,
    MN__STFT_BINS = MN__STFT_WINDOW / 2 + 1,
    MN__SERIES_COLUMNS = 1024, /* most columns of a series, and of its spectrogram */
    MN__SERIES_FRAMES = 512,
    MN__WATCH_EVENTS = 65535 /* later ones count as the last */
};

/* ---- watch_series.c: what one lane's queries paid to one token ---- */

/* Columns are single queries (frames) as long as all fit; then neighbours are put together, two by
 * two, by the largest value (the mean): a series takes the same memory for any text, and one that
 * ends early stays fine. */
typedef struct mn__series {
    int64_t token;               /* the first query is the token's own */
    int64_t end;                 /* first query that was not seen */
    size_t peak_step, n_peak;    /* queries a column (a power of two), columns so far */
    size_t frame_step, n_frame;  /* frames a column, columns so far */
    float sum[MN__STFT_HOP];     /* over the heads of the group, of the rows under way */
    float ring[MN__STFT_WINDOW]; /* query t at t % WINDOW */
    float *peak;                 /* [min(COLUMNS, queries)] */
    float *frame;                /* [min(FRAMES, frames)][BINS] STFT magnitudes */
} mn__series;

/* For queries below max_token; false: no memory. */
bool mn__series_init(mn__series *s, size_t token, size_t max_token);
void mn__series_fini(mn__series *s);
/* Column `slot` of rows of attention. */
void mn__series_add(mn__series *s, const mn_watch_attention *rows, size_t slot);
/* The mean over the group's heads that query t paid; t ascends, below max_token. */
void mn__series_push(mn__series *s, int64_t t, float share);

/* ---- watch.c, watch_look.c ---- */

typedef enum mn__token_kind {
    MN__KIND_WORD,
    MN__KIND_NUMBER,
    MN__KIND_PUNCTUATION,
    MN__KIND_CODE,
    MN__KIND_SPACE,
    MN__KIND_NEWLINE,
    MN__KIND_PART,    /* of a character */
    MN__KIND_CONTROL, /* of the template */
    MN__KIND_COUNT
} mn__token_kind;
extern const char *const mn__token_kind_name[MN__KIND_COUNT];

enum { MN__FATE_DROPPED, MN__FATE_KEPT, MN__FATE_PROTECTED, MN__FATE_COUNT };

typedef struct mn__watch_lane {
    uint16_t *gone; /* [max_token] 0: held; else 1 + the event at which it was dropped */
    float *drawn;   /* [max_token] attention received, mean over the group's heads */
    float *score;   /* [n_score] of the last event that dropped something, or of the first */
    uint8_t *fate;  /* [n_score] */
    size_t n_score, cap_score;
    uint64_t score_event;
    double threshold;
    bool has_threshold, no_memory;
} mn__watch_lane;

typedef struct mn__watched {
    size_t token;
    const char *reason; /* static */
    mn__series *series; /* [n_lane] */
} mn__watched;

struct mn_watch {
    const mn_model *m;
    mn_model_info info;
    mn_session *s;
    const char *page, *chart_js, *d3_js, *model;
    size_t max_token, n_token, n_prompt;
    int32_t *token;  /* [max_token] */
    size_t n_full;   /* full-attention layers */
    uint32_t *full;  /* [n_full] */
    size_t *at_full; /* [n_layer] place in full */
    size_t n_lane;   /* n_full * n_kv_head, layer major */
    mn__watch_lane *lane;
    mn_watch_event *event; /* [n_event] */
    size_t n_event, cap_event;
    mn__watched watched[MN_WATCH_SERIES_MAX];
    size_t n_watched;
    bool no_memory;
    bool no_attention; /* none is recorded, `drawn` is NULL */
    bool again;        /* the text is read again: series alone are recorded */
};

static inline size_t mn__watch_lane_of(const mn_watch *w, size_t layer, size_t head)
{
    return w->at_full[layer] * w->info.n_kv_head + head;
}

/* Begin to look on; what is recorded depends on w->again. */
void mn__watch_look(mn_watch *w);
/* Room for the series of `token` in all lanes. */
mn_status mn__watch_add_series(mn_watch *w, size_t token, const char *reason, mn_diag *diag);
void mn__watch_drop_series(mn_watch *w);

/* ---- watch_text.c: the tokens' own texts ---- */

typedef struct mn__watch_text {
    char *data;    /* all tokens' bytes one behind the other */
    size_t *at;    /* [n + 1] where each begins */
    uint8_t *kind; /* [n] mn__token_kind */
    size_t n;
} mn__watch_text;
mn_status mn__watch_text_make(mn__watch_text *out, const mn_model *m, const int32_t *token,
                              size_t n, mn_diag *diag);
void mn__watch_text_free(mn__watch_text *t);
mn__token_kind mn__token_kind_of(const char *text, size_t n);

/* ---- watch_sum.c: what it adds up to ---- */

typedef struct mn__watch_layer {
    size_t layer;
    double kept, share;   /* tokens held, mean over heads; of all tokens */
    double age;           /* mean over tokens held: tokens between it and the newest */
    double last_tenth;    /* share of them that lie in the last tenth of the text */
    double heads, chance; /* overlap (Jaccard) of the heads' sets, mean over pairs; what random
                             sets of these sizes would have; NAN: one head */
    double next;          /* overlap with heads of the next full-attention layer; NAN: last */
    double lift[MN__KIND_COUNT]; /* share of a kind among the held over that in the text; NAN:
                                    none in the text, or nothing held */
} mn__watch_layer;

/* out [n_full]; all: means over layers, kinds over all lanes. MN_ENOMEM. */
mn_status mn__watch_sum(const mn_watch *w, const mn__watch_text *text, mn__watch_layer *out,
                        mn__watch_layer *all, mn_diag *diag);
/* Means of n of them, `stride` apart, figure by figure; NAN counts as none. */
void mn__watch_mean(const mn__watch_layer *x, size_t n, size_t stride, mn__watch_layer *out);
/* Whether the lane holds the token at the end. */
static inline bool mn__watch_holds(const mn_watch *w, size_t lane, size_t token)
{
    return token < w->n_token && !w->lane[lane].gone[token];
}
/* Lanes that hold it at the end. */
size_t mn__watch_holders(const mn_watch *w, size_t token);
/* Attention that it drew, mean over lanes, in queries' worth; NAN: not recorded. */
double mn__watch_drawn(const mn_watch *w, size_t token);

/* Scores of the last event that dropped something in a layer, as counts. */
enum { MN__SCORE_BINS = 48 };
typedef struct mn__score_bins {
    bool any, log; /* log: even steps of the logarithm */
    uint64_t event;
    double lo, hi; /* scores beyond are counted in the outermost bins */
    uint32_t count[MN__FATE_COUNT][MN__SCORE_BINS];
    size_t n_infinite; /* minus infinity: they were no numbers, or say that a token goes first */
    bool has_threshold;
    double threshold;
} mn__score_bins;
mn_status mn__watch_scores(const mn_watch *w, size_t i_full, mn__score_bins *out, mn_diag *diag);

/* ---- watch_json.c, watch_page.c ---- */

json_t *mn__watch_figures_json(const mn__watch_layer *x);
/* The caller's; NULL: no memory. */
json_t *mn__watch_document(const mn_watch *w, const mn__watch_text *text, mn_diag *diag);

#endif
