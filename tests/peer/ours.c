/* ours.c: running this library through its public interface (ours.h). */
#include "ours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"

bool ours_has_level(const char *cpu)
{
    mn_diag diag;
    mn__cpu_level level;
    const char *only = getenv("MN_TEST_CPU");
    if (only && strcmp(only, "auto") != 0 && strcmp(only, cpu) != 0) return false;
    if (mn__cpu_level_parse(cpu, &level, &diag) == MN_OK) return true;
    printf("left out: %s\n", diag.text);
    return false;
}

void ours_open(ours *o, const char *path, const mn_model_params *mp, const mn_session_params *sp)
{
    mn_diag diag = {""};
    *o = (ours){NULL, NULL};
    if (mn_model_open(&o->model, path, mp, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (mn_session_new(&o->session, o->model, sp, &diag) != MN_OK) fail_msg("%s", diag.text);
}

void ours_close(ours *o)
{
    mn_session_free(o->session);
    mn_model_free(o->model);
    *o = (ours){NULL, NULL};
}

void ours_read(ours *o, const int32_t *token, size_t n, mn_logits_fn fn, void *ctx)
{
    mn_diag diag = {""};
    if (mn_session_score(o->session, token, n, fn, ctx, &diag) != MN_OK) fail_msg("%s", diag.text);
}

void ours_step(ours *o, const int32_t *token, size_t n, mn_logits_fn fn, void *ctx)
{
    mn_diag diag = {""};
    for (size_t i = 0; i < n; i++) {
        const float *logits = NULL;
        if (mn_session_step(o->session, token[i], &logits, &diag) != MN_OK)
            fail_msg("%s", diag.text);
        fn(i, logits, ctx);
    }
}
