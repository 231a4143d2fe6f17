/* ask.h: a row as token ids: what is read, where the context ends, what is answered. */
#ifndef MN_EVAL_ASK_H
#define MN_EVAL_ASK_H

#include "eval/prompt.h"
#include "mneme/model.h"

typedef struct mn__ask_params {
    const mn_model *model;
    bool chat;            /* the model's template around the prompt, unless the task is raw */
    const char *template; /* a built-in one instead of the model's; NULL: the model's */
    bool no_context;      /* the same question with nothing to read: what the model knows anyway */
    size_t n_ctx;         /* most tokens of prompt and answer together */
    size_t max_new;       /* 0: the task's */
    size_t max_gold;      /* most tokens of a continuation that are scored; 0: none of an answer */
    size_t length;        /* tokens that a made row was made for: it is never cut; 0: it was read */
} mn__ask_params;

typedef struct mn__continuation {
    int32_t *token;
    size_t n, n_byte;
} mn__continuation;

/* A prompt, and continuations whose likelihood is asked for. */
typedef struct mn__reading {
    int32_t *token;         /* [n] */
    size_t n, n_context;    /* token[0, n_context) is the context, the question follows */
    size_t n_cut;           /* tokens taken out of the middle beforehand */
    mn__continuation *gold; /* [n_gold] */
    size_t n_gold;
} mn__reading;

typedef struct mn__ask {
    mn__reading *reading; /* [n_reading]: one, or one a choice where the choices have contexts of
                             their own */
    size_t n_reading;
    size_t gold_reading, gold; /* the right continuation */
    size_t max_new;            /* tokens to generate; 0: none */
    uint64_t hash;             /* of all of the prompt's and continuations' tokens, and of what
                                  answers are scored by (mn__row_hash) */
} mn__ask;

/* Encoding and decoding by the model's vocabulary; ctx is the model. */
mn__tokens mn__model_tokens(const mn_model *m);

/* Tokens that there is room for in n_ctx beside the answer and the template. 0: none. */
mn_status mn__ask_room(const mn__task *task, const mn__ask_params *params, size_t *out,
                       mn_diag *diag);

/* A prompt that is too long for n_ctx loses its middle. MN_ERANGE: a made one would, whose answer
 * might lie there, or too little would be left of a read one. MN_EINPUT: the row lacks what the
 * task needs. MN_ENOMEM. */
mn_status mn__ask_make(mn__ask *out, const mn__task *task, const mn__row *row,
                       const mn__ask_params *params, mn_diag *diag);
void mn__ask_free(mn__ask *a); /* one of zeros is fine */

#endif
