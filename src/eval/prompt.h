/* prompt.h: a row put into its task's prompt, and prompts cut to what a model can read. */
#ifndef MN_EVAL_PROMPT_H
#define MN_EVAL_PROMPT_H

#include "eval/task.h"
#include "mneme/text.h"

/* The tokenizer that lengths are counted with. Both follow the rule of mneme/text.h (out->n
 * receives the size; the buffer is filled when it is large enough). Texts are documents: control
 * words in them are text, and no BOS is added or counted. */
typedef struct mn__tokens {
    mn_status (*encode)(void *ctx, const char *text, size_t n_byte, mn_token_buf *out,
                        mn_diag *diag);
    mn_status (*decode)(void *ctx, const int32_t *token, size_t n, mn_text_buf *out, mn_diag *diag);
    void *ctx;
} mn__tokens;

mn_status mn__tokens_count(const mn__tokens *t, const char *text, size_t n_byte, size_t *n,
                           mn_diag *diag);

typedef struct mn__prompt {
    char *text; /* [n_byte] and a NUL; owned */
    size_t n_byte;
    size_t split;   /* text[0, split) is the context, which can be read once and reused; the
                       question follows. Both are whole characters */
    size_t n_token; /* of the text as mn__prompt_cut left it; 0 before */
    size_t n_cut;   /* tokens that the cut took out of the middle */
} mn__prompt;

/* Fill the task's template. MN_EINPUT: it asks for an option that all_classes of the row lacks.
 * MN_ENOMEM. */
mn_status mn__prompt_fill(mn__prompt *out, const mn__task *task, const mn__row *row, mn_diag *diag);
/* As LongBench and the NAMM paper cut: if the text has more than n_max tokens, its first and last
 * n_max / 2 become text again and are joined, and the result is counted anew: it can differ from
 * n_max by a few tokens, either way. A question longer than the last half loses its beginning, and
 * the split lies at the seam. MN_ERANGE: n_max below 2. MN_ENOMEM, or what the tokenizer says. */
mn_status mn__prompt_cut(mn__prompt *p, const mn__tokens *t, size_t n_max, mn_diag *diag);
void mn__prompt_free(mn__prompt *p);

#endif
