/* bench_layers.c: layers beside their rivals and the machine's limits, as a table or JSON. */
#include "bench_layers.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "bench.h"
#include "build_info.h"
#include "ui.h"

/* Larger than any cache of the machines we know. */
#define READ_BYTES ((size_t)1 << 29)

layer_time layer_time_of(double *x, size_t n)
{
    const double middle = median(x, n); /* sorted then */
    return (layer_time){x[0], middle};
}

static const char *limit_name(layer_limit l)
{
    static const char *const names[] = {
        [LIMIT_READ] = "read", [LIMIT_RANDOM] = "random", [LIMIT_GEMM] = "gemm"};
    return names[l];
}

static double share_of(const layer_row *r)
{
    const double work = r->limit == LIMIT_GEMM ? r->flops : r->bytes;
    return r->rate > 0 ? work / r->time.median / r->rate : 0;
}

static json_t *or_null(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static void print_row(const layer_row *r)
{
    printf("%-14s %-34s %-8s %5zu %-5s %11.1f", r->layer, r->shape, r->phase, r->batch, r->dtype,
           1e6 * r->time.median);
    if (r->rival)
        printf(" %-14s %11.1f %7.2f", r->rival, 1e6 * r->rival_time.median,
               r->rival_time.median / r->time.median);
    else
        printf(" %-14s %11s %7s", "-", "-", "-");
    printf(" %5.0f%% %s\n", 100 * share_of(r), limit_name(r->limit));
    fflush(stdout);
}

void layer_add(layer_bench *b, const layer_row *r)
{
    json_t *row =
        json_pack("{s:s,s:s,s:f,s:f,s:s,s:I,s:s,s:f,s:f,s:f,s:f}", "layer", r->layer, "shape",
                  r->shape, "params", r->params, "active", r->active, "phase", r->phase, "batch",
                  (json_int_t)r->batch, "dtype", r->dtype, "us", 1e6 * r->time.median, "us_min",
                  1e6 * r->time.least, "bytes", r->bytes, "flops", r->flops);
    json_object_set_new(row, "rival", r->rival ? json_string(r->rival) : json_null());
    json_object_set_new(row, "rival_us", or_null(r->rival ? 1e6 * r->rival_time.median : 0));
    json_object_set_new(row, "ratio",
                        or_null(r->rival ? r->rival_time.median / r->time.median : 0));
    json_object_set_new(row, "limit_share", or_null(share_of(r)));
    json_object_set_new(row, "limit", json_string(limit_name(r->limit)));
    json_object_set_new(row, "uses", json_string(r->uses));
    json_array_append_new(b->rows, row);
    if (!args_has(b->a, OPT_JSON)) print_row(r);
}

void layer_note(layer_bench *b, const char *fmt, ...)
{
    char text[512];
    va_list va;
    va_start(va, fmt);
    vsnprintf(text, sizeof text, fmt, va);
    va_end(va);
    ui_note(b->a, "%s\n", text);
    json_array_append_new(b->notes, json_string(text));
}

static mn_status set_up(layer_bench *b, mn_diag *diag)
{
    mn_status st;
    mn__cpu_level level;
    size_t n;
    MN_TRY(
        mn__cpu_level_parse(args_has(b->a, OPT_CPU) ? b->a->value[OPT_CPU] : "auto", &level, diag));
    MN_TRY(args_size(b->a, OPT_THREADS, (size_t)mn__cpu_count(), 1, 4096, &n, diag));
    MN_TRY(args_size(b->a, OPT_REPEAT, 7, 1, LAYER_REPEAT_MAX, &b->n_repeat, diag));
    b->quick = args_has(b->a, OPT_QUICK);
    b->level = mn__cpu_level_name(level);
    mn__step_kern_init(&b->kern, (int)level);
    b->team = mn__team_new((int)n);
    if (!b->team) MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory for threads"));
    b->n_thread = mn__team_size(b->team);
    if (b->quick) return MN_OK;
    b->read = limit_read(READ_BYTES, b->n_thread);
    b->gemm_f32 = limit_gemm(false, b->n_thread);
    b->gemm_bf16 = level >= MN__CPU_AVX512BF16 ? limit_gemm(true, b->n_thread) : b->gemm_f32;
done:
    return st;
}

static json_t *machine_json(const layer_bench *b, machine_time begin)
{
    struct utsname u;
    const machine_time now = limit_machine_time();
    const double all = (double)(now.all - begin.all);
    uname(&u);
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:f,s:f,s:f,s:f}", "cpu", mn__cpu_model(), "threads",
                     b->n_thread, "level", b->level, "system", u.release, "compiler",
                     MN_BUILD_COMPILER, "read_bytes_per_s", b->read, "gemm_f32_flops", b->gemm_f32,
                     "gemm_bf16_flops", b->gemm_bf16, "stolen_share",
                     all > 0 ? (double)(now.stolen - begin.stolen) / all : 0.0);
}

static void print_head(const layer_bench *b)
{
    char human[32];
    printf("%s, %d threads, %s; reads %s/s, products f32 %.2f and bf16 %.2f TFLOP/s\n",
           mn__cpu_model(), b->n_thread, b->level, ui_human(b->read, human), b->gemm_f32 / 1e12,
           b->gemm_bf16 / 1e12);
    printf("%-14s %-34s %-8s %5s %-5s %11s %-14s %11s %7s %s\n", "layer", "shape", "phase", "rows",
           "type", "us", "rival", "us", "ratio", "of limit");
}

mn_status bench_layers(const args *a, mn_diag *diag)
{
    mn_status st;
    layer_bench b = {.a = a, .rows = json_array(), .notes = json_array()};
    const machine_time begin = limit_machine_time();
    MN_TRY(set_up(&b, diag));
    if (!args_has(a, OPT_JSON)) print_head(&b);
    MN_TRY(bench_trained(&b, diag));
    MN_TRY(bench_look_ups(&b, diag));
    MN_TRY(bench_memories(&b, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack("{s:o,s:s,s:b,s:O,s:O}", "machine", machine_json(&b, begin),
                                "commit", MN_BUILD_COMMIT, "quick", b.quick, "rows", b.rows,
                                "notes", b.notes));
done:
    mn__team_free(b.team);
    json_decref(b.rows);
    json_decref(b.notes);
    return st;
}
