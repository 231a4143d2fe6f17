/* arch_case.c: the list of models, and how one is held against llama_decode (arch_case.h). */
#include "arch_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "llama.h"
#include "mneme/model.h"
#include "peer/ours.h"
#include "peer/peer.h"
#include "tiny_model.h"

/* One model, and what both libraries are asked beyond what its file says. */
typedef struct arch_setup {
    tiny_model_params tiny;
    mn_model_params model;
    peer_params peer;
} arch_setup;

typedef struct arch_case {
    const char *arch, *what;
    void (*change)(arch_setup *s); /* NULL: as tiny_model_default says */
} arch_case;

/* ---- what sets a model apart ---- */

static void tied(arch_setup *s)
{
    s->tiny.tied = true;
}

static void untied(arch_setup *s)
{
    s->tiny.tied = false;
}

static void fused_with_biases(arch_setup *s)
{
    s->tiny.fused = s->tiny.bias = true;
}

static void one_kv_head(arch_setup *s)
{
    s->tiny.n_kv_head = 1;
}

/* Nothing a multiple of anything, one query head for each KV head. */
static void odd_sizes(arch_setup *s)
{
    s->tiny.n_head = s->tiny.n_kv_head = 3;
    s->tiny.head_dim = 22;
    s->tiny.n_embd = 75;
    s->tiny.n_ff = 101;
}

static void partial_rotation(arch_setup *s)
{
    s->tiny.n_rot = 16;
}

static void softcap(arch_setup *s)
{
    s->tiny.logit_softcap = 5;
}

static void local_base(arch_setup *s)
{
    s->tiny.rope_base_swa = 3000;
}

static void scaling_none(arch_setup *s)
{
    s->tiny.rope_scaling = "none";
    s->tiny.rope_factor = 4;
}

static void scaling_linear(arch_setup *s)
{
    s->tiny.rope_scaling = "linear";
    s->tiny.rope_factor = 4;
}

static void scaling_yarn(arch_setup *s)
{
    s->tiny.rope_scaling = "yarn";
    s->tiny.rope_factor = 4;
    s->tiny.rope_orig_ctx = 64;
    s->tiny.rope_attn_factor = 1.1f;
}

static void scaling_freqs(arch_setup *s)
{
    s->tiny.rope_freqs = true;
}

static void longrope_long(arch_setup *s)
{
    s->tiny.rope_scaling = "longrope";
    s->tiny.rope_orig_ctx = 64;
    s->tiny.rope_attn_factor = 1.2f;
}

static void longrope_short(arch_setup *s)
{
    longrope_long(s);
    s->tiny.rope_orig_ctx = s->tiny.n_ctx;
}

static void asked_linear(arch_setup *s)
{
    s->model.rope_scaling = MN_ROPE_LINEAR;
    s->model.rope_factor = 4;
    s->peer.rope_scaling = LLAMA_ROPE_SCALING_TYPE_LINEAR;
    s->peer.rope_freq_scale = 0.25f;
}

static void asked_yarn(arch_setup *s)
{
    s->model.rope_scaling = MN_ROPE_YARN;
    s->model.rope_factor = 4;
    s->peer.rope_scaling = LLAMA_ROPE_SCALING_TYPE_YARN;
    s->peer.rope_freq_scale = 0.25f;
    s->peer.yarn_orig_ctx = s->tiny.n_ctx;
}

/* The peer has no such rule, but takes a base. */
static void asked_ntk(arch_setup *s)
{
    double d = s->tiny.head_dim;
    s->model.rope_scaling = MN_ROPE_NTK;
    s->model.rope_factor = 4;
    s->peer.rope_base = (float)(s->tiny.rope_base * pow(4, d / (d - 2)));
}

static void asked_base(arch_setup *s)
{
    s->model.rope_base = s->peer.rope_base = 50000;
}

static const arch_case cases[] = {
    {"llama", "plain", NULL},
    {"llama", "tied", tied},
    {"llama", "fused q, k, v, biases", fused_with_biases},
    {"llama", "one KV head", one_kv_head},
    {"llama", "odd sizes", odd_sizes},
    {"llama", "scaling none", scaling_none},
    {"llama", "scaling linear", scaling_linear},
    {"llama", "scaling yarn", scaling_yarn},
    {"llama", "rope_freqs", scaling_freqs},
    {"llama", "longrope", longrope_long},
    {"llama", "asked for linear", asked_linear},
    {"llama", "asked for yarn", asked_yarn},
    {"llama", "asked for ntk", asked_ntk},
    {"llama", "asked for a base", asked_base},
    {"qwen2", "plain", NULL},
    {"qwen2", "tied", tied},
    {"qwen2", "scaling yarn", scaling_yarn},
    {"qwen2", "asked for ntk", asked_ntk},
    {"qwen3", "plain", NULL},
    {"qwen3", "tied", tied},
    {"qwen3", "odd sizes", odd_sizes},
    {"qwen3", "scaling linear", scaling_linear},
    {"qwen3", "scaling yarn", scaling_yarn},
    {"qwen3", "asked for ntk", asked_ntk},
    {"gemma3", "tied", NULL},
    {"gemma3", "untied", untied},
    {"gemma3", "one KV head", one_kv_head},
    {"gemma3", "partial rotation", partial_rotation},
    {"gemma3", "soft cap", softcap},
    {"gemma3", "local base", local_base},
    {"gemma3", "scaling linear", scaling_linear},
    {"gemma3", "scaling yarn", scaling_yarn},
    {"gemma3", "asked for ntk", asked_ntk},
    {"phi3", "plain", NULL},
    {"phi3", "tied", tied},
    {"phi3", "longrope, long", longrope_long},
    {"phi3", "longrope, short", longrope_short},
    {"phi3", "asked for linear", asked_linear},
};
enum { N_CASE = sizeof cases / sizeof cases[0] };

/* ---- one model ---- */

static void set_up(arch_setup *s, const arch_case *c, arch_length length)
{
    tiny_model_default(&s->tiny, c->arch);
    mn_model_params_default(&s->model);
    peer_params_default(&s->peer);
    s->tiny.n_ctx = s->peer.n_ctx = 1024;
    if (s->tiny.window) s->tiny.window = length.window;
    s->peer.n_thread = 1;
    if (c->change) c->change(s);
}

/* Logits [n][V] of the peer, which reads in chunks of 512. The caller frees them. */
static float *ask_peer(const char *path, const peer_params *pp, const int32_t *token, size_t n)
{
    peer *p = peer_open(path, pp);
    assert_non_null(p);
    float *out = malloc(n * peer_n_vocab(p) * sizeof *out);
    assert_non_null(out);
    assert_true(peer_decode(p, token, n, 512, out));
    peer_free(p);
    return out;
}

typedef struct comparison {
    const float *reference; /* [n][V] */
    size_t n_vocab;
    peer_tally tally;
} comparison;

static void compare_row(size_t i, const float *logits, void *ctx)
{
    comparison *c = ctx;
    peer_tally_row(&c->tally, c->reference + i * c->n_vocab, logits, c->n_vocab, -1);
}

static const char *open_setup(arch_setup *s, const arch_case *c, arch_length length)
{
    const char *path = tiny_model_path("arch.gguf");
    set_up(s, c, length);
    assert_true(tiny_model_write(path, &s->tiny));
    return path;
}

/* The largest difference of two logits when the text is read in such chunks, or written (0). */
static double hold_chunks(const char *path, const arch_setup *s, size_t chunk, const int32_t *token,
                          size_t n, comparison with)
{
    mn_session_params sp;
    peer_distance d;
    ours o;
    mn_session_params_default(&sp);
    sp.n_ctx = s->tiny.n_ctx;
    sp.chunk = chunk ? chunk : 1;
    sp.kv_type = MN_KV_F32;
    sp.n_thread = chunk > 1 ? 2 : 1; /* a step of so small a model is all barriers */
    ours_open(&o, path, &s->model, &sp);
    (chunk ? ours_read : ours_step)(&o, token, n, compare_row, &with);
    ours_close(&o);
    peer_tally_end(&with.tally, &d);
    assert_int_equal(with.tally.n, n);
    assert_int_equal(d.n_bad, 0);
    assert_true(d.spread > 0.5);
    return d.max_abs;
}

/* The peer is asked once for all levels. */
static double check_case(const arch_case *c, arch_length length, const char *const cpu[],
                         size_t n_cpu)
{
    static const size_t chunks[] = {0, 1, 7, 512};
    arch_setup s;
    const char *path = open_setup(&s, c, length);
    size_t n = length.n_token, n_vocab = tiny_model_n_vocab(&s.tiny);
    int32_t *token = malloc(n * sizeof *token);
    double worst = 0;
    assert_non_null(token);
    for (size_t i = 0; i < n; i++)
        token[i] = (int32_t)(mn__rng_uniform(7, 0, i, 0) * (double)n_vocab);
    float *reference = ask_peer(path, &s.peer, token, n);
    const comparison with = {.reference = reference, .n_vocab = n_vocab};
    for (size_t k = 0; k < n_cpu; k++) {
        double at_level = 0;
        s.model.cpu = cpu[k];
        for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++)
            at_level = fmax(at_level, hold_chunks(path, &s, chunks[i], token, n, with));
        printf("%s, %s, %s: logits differ by %.1e at most\n", c->arch, c->what, cpu[k], at_level);
        worst = fmax(worst, at_level);
    }
    free(reference);
    free(token);
    remove(path);
    return worst;
}

void arch_check_all(arch_length length, const char *const cpu[], size_t n_cpu)
{
    const char *here[8];
    size_t n_here = 0;
    double worst = 0;
    assert_true(n_cpu <= 8);
    for (size_t i = 0; i < n_cpu; i++)
        if (ours_has_level(cpu[i])) here[n_here++] = cpu[i];
    if (n_here == 0) skip();
    for (size_t i = 0; i < N_CASE; i++)
        worst = fmax(worst, check_case(&cases[i], length, here, n_here));
    printf("all architectures: logits differ by %.1e at most\n", worst);
    assert_true(worst <= 1e-3);
}
