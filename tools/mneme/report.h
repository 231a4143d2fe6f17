/* report.h: what a run did: the answer, speed, and what the cache kept and freed. */
#ifndef MNEME_REPORT_H
#define MNEME_REPORT_H

#include "ui.h"

typedef struct answer {
    char *text; /* NUL-terminated UTF-8 */
    size_t n, cap, n_prompt, n_generated;
    double read_s, write_s;
} answer;
void answer_add(answer *a, const char *piece, size_t n);
void answer_free(answer *a);

/* Dropped everywhere: runs [begin, end) of text tokens that no full-attention lane holds any more.
 * Owned by the caller, free. */
typedef struct spans {
    mn_pin *span;
    size_t n, n_token;
} spans;
spans report_dropped(const mn_session *s, const mn_model *m);

json_t *report_json(const mn_model *m, const mn_session *s, const answer *ans);
/* A warning where scores of the policy were no numbers, and what became of it. */
void report_nan(const args *a, const mn_session *s);
void report_text(const args *a, const mn_model *m, const mn_session *s, const answer *ans);
mn_status report_dump_kept(const mn_session *s, const mn_model *m, const char *path, mn_diag *diag);

#endif
