/* gauge.c: rows on their way to the caller. */
#include "gauge/gauge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/sort.h"

mn__gauge_time mn__gauge_time_of(double *x, size_t n)
{
    mn__sort(x, n);
    return (mn__gauge_time){x[0], mn__median(x, n)};
}

void mn__gauge_add(const mn__gauge *g, const mn__gauge_row *r)
{
    static const char *const limits[] = {
        [MN__GAUGE_READ] = "read", [MN__GAUGE_RANDOM] = "random", [MN__GAUGE_GEMM] = "gemm"};
    const double work = r->limit == MN__GAUGE_GEMM ? r->flops : r->bytes;
    const mn_layer_time row = {
        .layer = r->layer,
        .shape = r->shape,
        .phase = r->phase,
        .dtype = r->dtype,
        .uses = r->uses,
        .params = r->params,
        .active = r->active,
        .batch = r->batch,
        .us = 1e6 * r->time.median,
        .us_min = 1e6 * r->time.least,
        .bytes = r->bytes,
        .flops = r->flops,
        .rival = r->rival,
        .rival_us = r->rival ? 1e6 * r->rival_time.median : 0,
        .ratio = r->rival ? r->rival_time.median / r->time.median : 0,
        .limit = limits[r->limit],
        .limit_share = r->rate > 0 ? work / r->time.median / r->rate : 0,
    };
    g->b->row(g->b->ctx, &row);
}

void mn__gauge_note(const mn__gauge *g, const char *fmt, ...)
{
    char text[512];
    va_list va;
    va_start(va, fmt);
    vsnprintf(text, sizeof text, fmt, va);
    va_end(va);
    g->b->note(g->b->ctx, text);
}

mn_status mn__gauge_go_on(const mn__gauge *g, mn_diag *diag)
{
    if (!g->b->stop || !g->b->stop(g->b->ctx)) return MN_OK;
    return mn__fail(diag, MN_ECANCEL, "interrupted");
}

mn_status mn_layer_bench_run(const mn_layer_bench *bench, mn_diag *diag)
{
    mn_status st;
    mn__cpu_level level;
    mn__gauge g = {.b = bench, .quick = bench->quick, .n_repeat = bench->n_repeat};
    if (!g.n_repeat || g.n_repeat > MN__GAUGE_REPEATS)
        return mn__fail(diag, MN_ERANGE, "1 to %d measurements wanted, %zu found",
                        MN__GAUGE_REPEATS, g.n_repeat);
    MN_TRY(mn__cpu_level_parse(bench->cpu ? bench->cpu : "auto", &level, diag));
    mn__step_kern_init(&g.kern, (int)level);
    g.team = mn__team_new(bench->n_thread > 0 ? bench->n_thread : mn__cpu_count());
    if (!g.team) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for threads"));
    g.n_thread = mn__team_size(g.team);
    MN_TRY(mn__gauge_trained(&g, diag));
    MN_TRY(mn__gauge_look_ups(&g, diag));
    MN_TRY(mn__gauge_memories(&g, diag));
done:
    mn__team_free(g.team);
    return st;
}
