/* bench_stream.c: a text without end through one session: neither speed nor memory may depend on
 * how much was read. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/rng.h"
#include "bench.h"
#include "ui.h"

enum { PIECE = 512, SPAN = 10000 };

static void note(const mn_session *s, size_t *resident, size_t *kv)
{
    mn_session_info info;
    mn_session_get_info(s, &info);
    *resident = mn_mem_resident();
    *kv = info.kv_bytes + info.kv_window_bytes;
}

mn_status stream_through(const mn_model *m, const mn_session_params *sp, size_t n,
                         stream_result *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_session *s = NULL;
    mn_model_info info;
    int32_t token[PIECE];
    double t_early = 0, t_late = 0, start = mn__clock_s();
    size_t done = 0, early_begin = 0, early_end = 0, late_begin = 0;
    *out = (stream_result){.n_token = n};
    mn_model_get_info(m, &info);
    MN_TRY(mn_session_new(&s, m, sp, diag));
    while (done < n) {
        size_t c = n - done < PIECE ? n - done : PIECE;
        for (size_t i = 0; i < c; i++)
            token[i] = (int32_t)(mn__rng_uniform(1, 1, done + i, 0) * (double)info.n_vocab);
        if (ui_interrupted())
            MN_TRY(mn__fail(diag, MN_ECANCEL, "interrupted after %zu tokens", done));
        MN_TRY(mn_session_read(s, token, c, false, NULL, NULL, NULL, diag));
        done += c;
        double now = mn__clock_s() - start;
        if (!early_begin && done >= SPAN) {
            early_begin = done;
            t_early = now;
        }
        if (!early_end && done >= 2 * SPAN) {
            early_end = done;
            out->early_rate = (double)(early_end - early_begin) / (now - t_early);
            note(s, &out->early_resident, &out->early_kv);
        }
        if (!late_begin && done + SPAN >= n) {
            late_begin = done;
            t_late = now;
        }
    }
    out->late_rate = (double)(done - late_begin) / (mn__clock_s() - start - t_late);
    note(s, &out->late_resident, &out->late_kv);
done:
    mn_session_free(s);
    return st;
}
