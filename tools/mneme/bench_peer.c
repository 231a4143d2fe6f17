/* bench_peer.c: the same model under llama_decode, for ratios from one run on one machine. */
#include <stdlib.h>

#include "base/diag.h"
#include "bench.h"
#include "llama.h"

struct peer {
    struct llama_model *model;
    struct llama_context *ctx;
};

static void silent(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)level, (void)text, (void)ctx;
}

mn_status peer_open(peer **out, const peer_params *pp, mn_diag *diag)
{
    peer *p = calloc(1, sizeof *p);
    struct llama_model_params mp = llama_model_default_params();
    struct llama_context_params cp = llama_context_default_params();
    *out = NULL;
    if (!p) return mn__fail(diag, MN_ENOMEM, "peer: no memory");
    llama_log_set(silent, NULL);
    mp.n_gpu_layers = 0;
    cp.n_ctx = (uint32_t)pp->n_ctx;
    cp.n_batch = cp.n_ubatch = BENCH_PREFILL;
    cp.n_threads = cp.n_threads_batch = pp->n_thread;
    cp.flash_attn_type = pp->flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    cp.rope_freq_scale = pp->rope_freq_scale;
    cp.swa_full = false;
    cp.no_perf = true;
    p->model = llama_model_load_from_file(pp->path, mp);
    p->ctx = p->model ? llama_init_from_model(p->model, cp) : NULL;
    if (!p->ctx) {
        peer_close(p);
        return mn__fail(diag, MN_EFAIL, "peer: libllama cannot open %s with %zu tokens of context",
                        pp->path, pp->n_ctx);
    }
    *out = p;
    return MN_OK;
}

void peer_close(peer *p)
{
    if (!p) return;
    if (p->ctx) llama_free(p->ctx);
    if (p->model) llama_model_free(p->model);
    free(p);
}

mn_status peer_read(peer *p, const int32_t *token, size_t n, mn_diag *diag)
{
    for (size_t i = 0; i < n; i += BENCH_PREFILL) {
        size_t c = n - i < BENCH_PREFILL ? n - i : BENCH_PREFILL;
        int rc = llama_decode(p->ctx, llama_batch_get_one((llama_token *)(token + i),
                                                          (int32_t)c)); /* it does not write them */
        if (rc) return mn__fail(diag, MN_EFAIL, "peer: llama_decode returned %d", rc);
    }
    llama_synchronize(p->ctx);
    return MN_OK;
}

mn_status peer_step(peer *p, int32_t token, mn_diag *diag)
{
    return peer_read(p, &token, 1, diag);
}

bool peer_rewind(peer *p, size_t n)
{
    return llama_memory_seq_rm(llama_get_memory(p->ctx), 0, (llama_pos)n, -1);
}
