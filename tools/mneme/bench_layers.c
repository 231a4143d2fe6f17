/* bench_layers.c: mneme bench --layers: layers beside their rivals and the machine's limits, as a
 * table or JSON. */
#include <stdio.h>
#include <sys/utsname.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "bench.h"
#include "build_info.h"
#include "ui.h"

/* Larger than any cache of the machines we know. */
#define READ_BYTES ((size_t)1 << 29)

typedef struct table {
    const args *a;
    json_t *rows, *notes;
} table;

static json_t *or_null(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static void print_row(const mn_layer_time *r)
{
    printf("%-14s %-34s %-8s %5zu %-5s %11.1f", r->layer, r->shape, r->phase, r->batch, r->dtype,
           r->us);
    if (r->rival)
        printf(" %-14s %11.1f %7.2f", r->rival, r->rival_us, r->ratio);
    else
        printf(" %-14s %11s %7s", "-", "-", "-");
    printf(" %5.0f%% %s\n", 100 * r->limit_share, r->limit);
    fflush(stdout);
}

static void take_row(void *ctx, const mn_layer_time *r)
{
    table *t = ctx;
    json_t *row = json_pack("{s:s,s:s,s:f,s:f,s:s,s:I,s:s,s:f,s:f,s:f,s:f}", "layer", r->layer,
                            "shape", r->shape, "params", r->params, "active", r->active, "phase",
                            r->phase, "batch", (json_int_t)r->batch, "dtype", r->dtype, "us", r->us,
                            "us_min", r->us_min, "bytes", r->bytes, "flops", r->flops);
    json_object_set_new(row, "rival", r->rival ? json_string(r->rival) : json_null());
    json_object_set_new(row, "rival_us", or_null(r->rival_us));
    json_object_set_new(row, "ratio", or_null(r->ratio));
    json_object_set_new(row, "limit_share", or_null(r->limit_share));
    json_object_set_new(row, "limit", json_string(r->limit));
    json_object_set_new(row, "uses", json_string(r->uses));
    json_array_append_new(t->rows, row);
    if (!args_has(t->a, OPT_JSON)) print_row(r);
}

static void take_note(void *ctx, const char *sentence)
{
    table *t = ctx;
    ui_note(t->a, "%s\n", sentence);
    json_array_append_new(t->notes, json_string(sentence));
}

static bool stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static json_t *machine_json(const mn_layer_bench *b, machine_time begin)
{
    struct utsname u;
    const machine_time now = limit_machine_time();
    const double all = (double)(now.all - begin.all);
    uname(&u);
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:f,s:f,s:f}", "cpu", mn__cpu_model(), "threads",
                     b->n_thread, "level", b->cpu, "system", u.release, "compiler",
                     MN_BUILD_COMPILER, "read_bytes_per_s", b->read_rate, "gemm_flops",
                     b->product_rate, "stolen_share",
                     all > 0 ? (double)(now.stolen - begin.stolen) / all : 0.0);
}

static void print_head(const mn_layer_bench *b)
{
    char human[32];
    printf("%s, %d threads, %s; reads %s/s, f32 products %.2f TFLOP/s\n", mn__cpu_model(),
           b->n_thread, b->cpu, ui_human(b->read_rate, human), b->product_rate / 1e12);
    printf("%-14s %-34s %-8s %5s %-5s %11s %-14s %11s %7s %s\n", "layer", "shape", "phase", "rows",
           "type", "us", "rival", "us", "ratio", "of limit");
}

mn_status bench_layers(const args *a, mn_diag *diag)
{
    mn_status st;
    mn__cpu_level level;
    size_t n_thread;
    table t = {a, json_array(), json_array()};
    mn_layer_bench b = {.quick = args_has(a, OPT_QUICK),
                        .row = take_row,
                        .note = take_note,
                        .stop = stop,
                        .ctx = &t};
    const machine_time begin = limit_machine_time();
    MN_TRY(mn__cpu_level_parse(args_has(a, OPT_CPU) ? a->value[OPT_CPU] : "auto", &level, diag));
    MN_TRY(args_size(a, OPT_THREADS, (size_t)mn__cpu_count(), 1, 4096, &n_thread, diag));
    MN_TRY(args_size(a, OPT_REPEAT, 7, 1, 64, &b.n_repeat, diag));
    b.n_thread = (int)n_thread;
    b.cpu = mn__cpu_level_name(level);
    if (!b.quick) {
        b.read_rate = limit_read(READ_BYTES, b.n_thread);
        b.product_rate = limit_gemm(false, b.n_thread);
    }
    if (!args_has(a, OPT_JSON)) print_head(&b);
    MN_TRY(mn_layer_bench_run(&b, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack("{s:o,s:s,s:b,s:O,s:O}", "machine", machine_json(&b, begin),
                                "commit", MN_BUILD_COMMIT, "quick", b.quick, "rows", t.rows,
                                "notes", t.notes));
done:
    json_decref(t.rows);
    json_decref(t.notes);
    return st;
}
