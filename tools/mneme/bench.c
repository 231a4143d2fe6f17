/* bench.c: reading 512 tokens and writing n at each depth of one growing text; ours and the peer in
 * turn, medians, ratios, and what the machine could at most do. Tokens are pseudo-random: time does
 * not depend on them. */
#include "bench.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"
#include "base/rng.h"
#include "base/sort.h"
#include "build_info.h"
#include "find_namm.h"
#include "pull.h"
#include "ui.h"
#include "verbs.h"

/* One program under measurement. */
typedef struct runner {
    char *policy, *name; /* ours; as rows name it */
    mn_session *s;
    peer *peer; /* or the peer; drifts when its cache cannot rewind */
    size_t n;   /* tokens it has run */
} runner;

typedef struct times {
    double read[BENCH_REPEAT_MAX], write[BENCH_REPEAT_MAX];
    size_t kv_bytes;
} times;

typedef struct bench {
    const args *a;
    mn_model *m;
    mn_model_info info;
    char path[PATH_MAX], name[64]; /* name: of the file, without folder and .gguf */
    mn_session_params sp;
    size_t depth[BENCH_DEPTH_MAX], n_depth, n_token, n_repeat;
    int32_t *token; /* enough for the greatest depth and what is measured there */
    runner *run;
    size_t n_ours, n_run;
    double gemm;
    machine_time begin; /* of the measurements */
    json_t *rows;
} bench;

double median(double *x, size_t n)
{
    mn__sort(x, n);
    return mn__median(x, n);
}

/* ---- set-up ---- */

static void name_of(const char *path, char *name, size_t cap)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, cap, "%.*s", (int)cap - 1, slash ? slash + 1 : path);
    char *end = strrchr(name, '.');
    if (end && end != name) *end = '\0';
}

static mn_status read_depths(bench *b, mn_diag *diag)
{
    const char *text = args_has(b->a, OPT_DEPTHS) ? b->a->value[OPT_DEPTHS] : "0,2048,4096,7168";
    for (char *end; *text; text = *end ? end + 1 : end) {
        unsigned long v = strtoul(text, &end, 10);
        bool ok = end != text && (*end == ',' || !*end) && v <= 1 << 24 &&
                  b->n_depth < BENCH_DEPTH_MAX && (!b->n_depth || v > b->depth[b->n_depth - 1]);
        if (!ok)
            return mn__fail(diag, MN_EUSAGE,
                            "--depths: ascending numbers separated by commas wanted, '%s' found",
                            text);
        b->depth[b->n_depth++] = v;
    }
    if (!b->n_depth) return mn__fail(diag, MN_EUSAGE, "--depths: at least one number wanted");
    return MN_OK;
}

/* A peer that cannot rewind drifts on from one measurement to the next. */
static size_t most_tokens(const bench *b, bool peers)
{
    size_t n = 0, once = BENCH_PREFILL + b->n_token + 1;
    for (size_t i = 0; i < b->n_depth; i++) {
        size_t from = peers && n > b->depth[i] ? n : b->depth[i];
        n = from + once * (peers ? b->n_repeat : 1);
    }
    return n;
}

static mn_status open_runners(bench *b, bool peers, mn_diag *diag)
{
    mn_status st = MN_OK;
    bool tells = true;
    const char *full = "full", *const *policy = b->a->n_policy ? b->a->policy : &full;
    b->n_ours = b->a->n_policy ? b->a->n_policy : 1;
    b->run = calloc(b->n_ours + 2, sizeof *b->run);
    if (!b->run) return mn__fail(diag, MN_ENOMEM, "bench: no memory");
    for (size_t i = 0; i < b->n_ours; i++) {
        MN_TRY(find_namm(b->a, b->m, policy[i], &tells, &b->run[i].policy, diag));
        b->run[i].name = malloc(UI_POLICY_BYTES);
        if (!b->run[i].name) MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
        MN_TRY(mn_policy_name(b->run[i].policy, b->run[i].name, UI_POLICY_BYTES, diag));
        b->sp.policy = b->run[i].policy;
        if (!strcmp(policy[i], "full"))
            b->sp.budget = "";
        else
            b->sp.budget = args_has(b->a, OPT_BUDGET) ? b->a->value[OPT_BUDGET] : "25%";
        MN_TRY(mn_session_new(&b->run[i].s, b->m, &b->sp, diag));
    }
    b->n_run = b->n_ours;
    for (int flash = 0; peers && flash < 2; flash++) {
        peer_params pp = {
            .path = b->path, .n_ctx = b->sp.n_ctx, .n_thread = b->sp.n_thread, .flash = flash};
        if (b->sp.n_ctx > b->info.n_ctx_train)
            pp.rope_freq_scale = (float)b->info.n_ctx_train / (float)b->sp.n_ctx;
        MN_TRY(peer_open(&b->run[b->n_run].peer, &pp, diag));
        b->n_run++;
    }
done:
    return st;
}

static mn_status set_up(bench *b, mn_diag *diag)
{
    static const char *const peers[] = {"none", "llama", NULL};
    mn_status st = MN_OK;
    int peer_kind;
    size_t n;
    b->begin = limit_machine_time();
    MN_TRY(args_choice(b->a, OPT_PEER, peers, 0, &peer_kind, diag));
    MN_TRY(read_depths(b, diag));
    MN_TRY(args_size(b->a, OPT_TOKENS, 32, 1, 4096, &b->n_token, diag));
    MN_TRY(args_size(b->a, OPT_REPEAT, 3, 1, BENCH_REPEAT_MAX, &b->n_repeat, diag));
    MN_TRY(ui_session_params(b->a, &b->sp, diag));
    if (b->sp.n_thread <= 0) b->sp.n_thread = mn__cpu_count();
    MN_TRY(pull_resolve(args_has(b->a, OPT_MODEL) ? b->a->value[OPT_MODEL] : "smollm2",
                        args_has(b->a, OPT_OFFLINE), args_has(b->a, OPT_QUIET), b->path,
                        sizeof b->path, diag));
    MN_TRY(ui_open_model(b->a, false, &b->m, diag));
    mn_model_get_info(b->m, &b->info);
    name_of(b->path, b->name, sizeof b->name);
    n = most_tokens(b, peer_kind != 0);
    if (b->sp.n_ctx && b->sp.n_ctx < n)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "--ctx: at least %zu wanted for these depths, %zu given",
                        n, b->sp.n_ctx));
    if (!b->sp.n_ctx) b->sp.n_ctx = (n + 255) / 256 * 256;
    b->token = malloc(n * sizeof *b->token);
    if (!b->token) MN_TRY(mn__fail(diag, MN_ENOMEM, "bench: no memory"));
    for (size_t i = 0; i < n; i++)
        b->token[i] = (int32_t)(mn__rng_uniform(1, 0, i, 0) * (double)b->info.n_vocab);
    MN_TRY(open_runners(b, peer_kind != 0, diag));
done:
    return st;
}

/* ---- measuring ---- */

static mn_status grow(bench *b, runner *r, size_t depth, mn_diag *diag)
{
    mn_status st = MN_OK;
    if (ui_interrupted()) return mn__fail(diag, MN_ECANCEL, "interrupted");
    if (r->n >= depth) return MN_OK;
    if (r->peer)
        st = peer_read(r->peer, b->token + r->n, depth - r->n, diag);
    else
        st = mn_session_read(r->s, b->token + r->n, depth - r->n, false, NULL, NULL, NULL, diag);
    r->n = depth;
    return st;
}

/* A session with the depth behind it, cut as its policy would cut a prompt of this length. */
static mn_status time_ours(const bench *b, runner *r, double *read_s, double *write_s,
                           size_t *kv_bytes, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_session *f = NULL;
    const float *logits;
    mn_session_info info;
    MN_TRY(mn_session_fork(&f, r->s, diag));
    if (r->n && strcmp(r->policy, "full")) MN_TRY(mn_session_evict(f, diag));
    double t0 = mn__clock_s();
    MN_TRY(mn_session_read(f, b->token + r->n, BENCH_PREFILL, false, &logits, NULL, NULL, diag));
    *read_s = mn__clock_s() - t0;
    mn_session_free(f);
    f = NULL;
    MN_TRY(mn_session_fork(&f, r->s, diag));
    if (r->n && strcmp(r->policy, "full")) MN_TRY(mn_session_evict(f, diag));
    mn_session_get_info(f, &info);
    *kv_bytes = info.kv_bytes + info.kv_window_bytes;
    MN_TRY(
        mn_session_step(f, b->token[r->n], &logits, diag)); /* copies shared pages, wakes threads */
    t0 = mn__clock_s();
    for (size_t i = 1; i <= b->n_token; i++)
        MN_TRY(mn_session_step(f, b->token[r->n + i], &logits, diag));
    *write_s = mn__clock_s() - t0;
done:
    mn_session_free(f);
    return st;
}

static mn_status time_peer(const bench *b, runner *r, double *read_s, double *write_s,
                           mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t depth = r->n;
    double t0 = mn__clock_s();
    MN_TRY(peer_read(r->peer, b->token + r->n, BENCH_PREFILL, diag));
    *read_s = mn__clock_s() - t0;
    r->n += BENCH_PREFILL;
    if (peer_rewind(r->peer, depth)) r->n = depth;
    MN_TRY(peer_step(r->peer, b->token[r->n], diag));
    t0 = mn__clock_s();
    for (size_t i = 1; i <= b->n_token; i++) MN_TRY(peer_step(r->peer, b->token[r->n + i], diag));
    *write_s = mn__clock_s() - t0;
    r->n += b->n_token + 1;
    if (peer_rewind(r->peer, depth)) r->n = depth;
done:
    return st;
}

/* ---- results ---- */

typedef struct speed {
    double ours, peer, limit_share;
} speed;

static void add_row(bench *b, const runner *r, const char *phase, size_t depth, const speed *v,
                    size_t kv_bytes)
{
    json_t *row =
        json_pack("{s:o,s:o,s:s,s:s,s:I,s:f,s:f,s:I,s:I}", "model", ui_json_text(b->name), "policy",
                  ui_json_text(r->name), "cpu", b->info.cpu, "phase", phase, "depth",
                  (json_int_t)depth, "tokens_per_s", v->ours, "limit_share", v->limit_share,
                  "kv_bytes", (json_int_t)kv_bytes, "bytes_per_token",
                  (json_int_t)(*phase == 'd' ? b->info.step_weight_bytes + kv_bytes : kv_bytes));
    if (v->peer > 0) {
        json_object_set_new(row, "peer", json_string("llama"));
        json_object_set_new(row, "peer_tokens_per_s", json_real(v->peer));
        json_object_set_new(row, "ratio", json_real(v->ours / v->peer));
    }
    json_array_append_new(b->rows, row);
    if (args_has(b->a, OPT_JSON)) return;
    printf("%-22s %-8s %6zu %10.1f", r->name, phase, depth, v->ours);
    if (v->peer > 0)
        printf(" %10.1f %7.2f", v->peer, v->ours / v->peer);
    else
        printf(" %10s %7s", "-", "-");
    printf(" %7.0f%% %11.1f\n", 100 * v->limit_share, (double)kv_bytes / 1e6);
    fflush(stdout);
}

static void report_depth(bench *b, size_t depth, times *t)
{
    double peer_read_s = 0, peer_write_s = 0;
    for (size_t i = b->n_ours; i < b->n_run; i++) { /* the faster of the peer's two ways counts */
        double r = median(t[i].read, b->n_repeat), w = median(t[i].write, b->n_repeat);
        if (i == b->n_ours || r < peer_read_s) peer_read_s = r;
        if (i == b->n_ours || w < peer_write_s) peer_write_s = w;
    }
    for (size_t i = 0; i < b->n_ours; i++) {
        double r = median(t[i].read, b->n_repeat), w = median(t[i].write, b->n_repeat);
        double mean_ctx =
            (double)depth +
            BENCH_PREFILL / 2.0; /* prefill: attention over what is behind each row, full cache */
        double flops = (double)BENCH_PREFILL *
                       (b->info.step_flops +
                        4.0 * (double)(b->info.n_layer * b->info.n_head * b->info.head_dim) *
                            mean_ctx * (strcmp(b->run[i].policy, "full") ? 0 : 1));
        double bytes = (double)(b->info.step_weight_bytes + t[i].kv_bytes),
               bandwidth = limit_read((size_t)bytes, b->sp.n_thread);
        speed read = {.ours = BENCH_PREFILL / r,
                      .peer = peer_read_s > 0 ? BENCH_PREFILL / peer_read_s : 0,
                      .limit_share = b->gemm > 0 ? flops / r / b->gemm : 0};
        speed write = {.ours = (double)b->n_token / w,
                       .peer = peer_write_s > 0 ? (double)b->n_token / peer_write_s : 0,
                       .limit_share =
                           bandwidth > 0 ? bytes * (double)b->n_token / w / bandwidth : 0};
        add_row(b, &b->run[i], "prefill", depth, &read, t[i].kv_bytes);
        add_row(b, &b->run[i], "decode", depth, &write, t[i].kv_bytes);
    }
}

static mn_status measure(bench *b, mn_diag *diag)
{
    mn_status st = MN_OK;
    times *t = calloc(b->n_run, sizeof *t);
    if (!t) return mn__fail(diag, MN_ENOMEM, "bench: no memory");
    for (size_t d = 0; d < b->n_depth; d++) {
        for (size_t i = 0; i < b->n_run; i++) MN_TRY(grow(b, &b->run[i], b->depth[d], diag));
        for (size_t k = 0; k < b->n_repeat; k++)
            for (size_t i = 0; i < b->n_run; i++) {
                runner *r = &b->run[i];
                if (ui_interrupted()) MN_TRY(mn__fail(diag, MN_ECANCEL, "interrupted"));
                if (r->peer)
                    MN_TRY(time_peer(b, r, &t[i].read[k], &t[i].write[k], diag));
                else
                    MN_TRY(time_ours(b, r, &t[i].read[k], &t[i].write[k], &t[i].kv_bytes, diag));
            }
        report_depth(b, b->depth[d], t);
    }
done:
    free(t);
    return st;
}

static json_t *machine_json(const bench *b, double bandwidth)
{
    struct utsname u;
    uname(&u);
    machine_time now = limit_machine_time();
    double all = (double)(now.all - b->begin.all);
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:f,s:f,s:f}", "cpu", mn__cpu_model(), "threads",
                     b->sp.n_thread, "level", b->info.cpu, "system", u.release, "compiler",
                     MN_BUILD_COMPILER, "ggml_arch", MN_BUILD_GGML_ARCH, "read_bytes_per_s",
                     bandwidth, "gemm_flops", b->gemm, "stolen_share",
                     all > 0 ? (double)(now.stolen - b->begin.stolen) / all : 0.0);
}

/* `bench --through N`. */
static mn_status bench_stream(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_model *m = NULL;
    mn_session_params sp;
    stream_result r;
    size_t n;
    char b1[32], b2[32], name[UI_POLICY_BYTES], *policy = NULL;
    MN_TRY(args_size(a, OPT_THROUGH, 0, 30000, 1 << 27, &n, diag));
    MN_TRY(ui_session_params(a, &sp, diag));
    MN_TRY(ui_open_model(a, false, &m, diag));
    MN_TRY(ui_find_namm(a, m, &sp, &policy, diag));
    MN_TRY(mn_policy_name(sp.policy, name, sizeof name, diag));
    MN_TRY(stream_through(m, &sp, n, &r, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack(
            "{s:I,s:o,s:f,s:f,s:f,s:I,s:I,s:I,s:I}", "tokens", (json_int_t)n, "policy",
            ui_json_text(name), "early_tokens_per_s", r.early_rate, "late_tokens_per_s",
            r.late_rate, "ratio", r.late_rate / r.early_rate, "early_rss_bytes",
            (json_int_t)r.early_resident, "late_rss_bytes", (json_int_t)r.late_resident,
            "early_kv_bytes", (json_int_t)r.early_kv, "late_kv_bytes", (json_int_t)r.late_kv));
    else
        printf(
            "%zu tokens, policy %s: tokens 10k-20k %.0f/s, last 10k %.0f/s, ratio %.3f; resident "
            "%s then, %s at the end\n",
            n, name, r.early_rate, r.late_rate, r.late_rate / r.early_rate,
            ui_human((double)r.early_resident, b1), ui_human((double)r.late_resident, b2));
done:
    mn_model_free(m);
    free(policy);
    return st;
}

mn_status verb_bench(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    bench b = {.a = a, .rows = NULL};
    char human[32];
    if (a->n_rest) MN_TRY(mn__fail(diag, MN_EUSAGE, "'%s': bench takes options only", a->rest[0]));
    if (args_has(a, OPT_LAYERS)) return bench_layers(a, diag);
    if (args_has(a, OPT_THROUGH)) return bench_stream(a, diag);
    b.rows = json_array();
    MN_TRY(set_up(&b, diag));
    bool bf16 = !strcmp(b.info.cpu, "amx") || !strcmp(b.info.cpu, "avx512bf16");
    double bandwidth = limit_read(b.info.step_weight_bytes + 4096, b.sp.n_thread);
    b.gemm = limit_gemm(bf16, b.sp.n_thread);
    if (!args_has(a, OPT_JSON)) {
        printf("%s, %d threads, %s; reads %s/s, %s products %.2f TFLOP/s\n", mn__cpu_model(),
               b.sp.n_thread, b.info.cpu, ui_human(bandwidth, human), bf16 ? "bf16" : "f32",
               b.gemm / 1e12);
        printf("%-22s %-8s %6s %10s %10s %7s %8s %11s\n", "policy", "phase", "depth", "tokens/s",
               "peer", "ratio", "of limit", "cache MB");
    }
    MN_TRY(measure(&b, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack("{s:i,s:o,s:s,s:O}", "version", 1, "machine",
                                machine_json(&b, bandwidth), "commit", MN_BUILD_COMMIT, "rows",
                                b.rows));
done:
    for (size_t i = 0; b.run && i < b.n_ours + 2; i++) {
        mn_session_free(b.run[i].s);
        peer_close(b.run[i].peer);
        free(b.run[i].policy);
        free(b.run[i].name);
    }
    free(b.run);
    free(b.token);
    json_decref(b.rows);
    mn_model_free(b.m);
    return st;
}
