/* ours.h: logits of every row of a text by this library, beside peer.h. */
#ifndef OURS_H
#define OURS_H

#include <stdbool.h>

#include "mneme/model.h"
#include "mneme/session.h"

/* Should a test of arithmetic run at this kernel level? Not at one that the machine does not grant
 * (stdout says so), nor at another than MN_TEST_CPU where the environment names one. */
bool ours_has_level(const char *cpu);

typedef struct ours {
    mn_model *model;
    mn_session *session;
} ours;

/* Open a model and a session on it; the test fails with the library's sentence where it refuses. */
void ours_open(ours *o, const char *path, const mn_model_params *mp, const mn_session_params *sp);
void ours_close(ours *o);
/* Append n tokens and hand every row's logits to fn: in chunks as a text is read, or token by token
 * as one is written. The test fails where the library refuses. */
void ours_read(ours *o, const int32_t *token, size_t n, mn_logits_fn fn, void *ctx);
void ours_step(ours *o, const int32_t *token, size_t n, mn_logits_fn fn, void *ctx);

#endif
