/* config_check.c: options held against each other, and those that follow from others. */
#include <math.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "layer/dense_ffn.h"
#include "layer/insertion.h"
#include "layer/memory_layer.h"
#include "layer/pkm.h"
#include "lm/config.h"

/* Rows of a pass: what layers take for them is counted in size_t without a check. */
#define ROWS_MAX ((size_t)1 << 31)

enum { HIDDEN_ROUND = 16, KEY_PART = 4 };

mn__compute_kind mn__compute_of(mn__cpu_level best)
{
    return best >= MN__CPU_AVX512BF16 ? MN__COMPUTE_BF16 : MN__COMPUTE_F32;
}

static bool has_memories(const mn__config *c)
{
    return c->model_arch == MN__ARCH_PKM || c->model_arch == MN__ARCH_MEMORY_PLUS ||
           c->model_arch == MN__ARCH_ULTRAMEM || c->model_arch == MN__ARCH_ULTRAMEM_V2;
}

static void or_else(size_t *x, size_t derived)
{
    if (!*x) *x = derived ? derived : 1;
}

static void derive_sizes(mn__config *c)
{
    const bool is_swiglu = c->model_activation == MN__ACT_SWIGLU;
    const size_t width = c->model_width,
                 third = (8 * width / 3 + HIDDEN_ROUND - 1) / HIDDEN_ROUND * HIDDEN_ROUND;
    or_else(&c->model_kv_heads, c->model_heads);
    or_else(&c->model_hidden, is_swiglu ? third : 4 * width);
    or_else(&c->model_context, c->train_length);
    or_else(&c->experts_inner, c->model_hidden / c->experts_keep);
    or_else(&c->memory_key_width, width / KEY_PART);
    or_else(&c->memory_value_width,
            c->model_arch == MN__ARCH_ULTRAMEM || c->model_arch == MN__ARCH_ULTRAMEM_V2 ? width / 2
                                                                                        : width);
    or_else(&c->memory_pre_width, c->memory_value_width);
    or_else(&c->lookup_tables, width / c->lookup_bits);
    if (!(c->model_std > 0)) c->model_std = sqrt(0.4 / (double)width);
    if (c->model_arch == MN__ARCH_MEMORYFORMER) c->model_out = false;
    if (c->train_compute == MN__COMPUTE_AUTO) c->train_compute = mn__compute_of(mn__cpu_best());
}

static mn_status check_heads(const mn__config *c, mn_diag *diag)
{
    if (!c->model_vocab)
        return mn__fail(diag, MN_ERANGE,
                        "model.vocab: the tokenizer's number of tokens wanted, 0 "
                        "found");
    if (c->model_width % c->model_heads)
        return mn__fail(diag, MN_ERANGE, "model.heads: a divisor of width %zu wanted, %zu found",
                        c->model_width, c->model_heads);
    if (c->model_heads % c->model_kv_heads)
        return mn__fail(diag, MN_ERANGE, "model.kv_heads: a divisor of heads %zu wanted, %zu found",
                        c->model_heads, c->model_kv_heads);
    return MN_OK;
}

static mn_status check_memories(const mn__config *c, mn_diag *diag)
{
    mn__insertions at;
    if (!has_memories(c)) return MN_OK;
    const mn_status st = mn__insertions_parse(c->memory_insert, c->model_blocks, &at, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "memory.insert");
        return st;
    }
    const bool is_pkm = c->model_arch == MN__ARCH_PKM,
               is_plus = c->model_arch == MN__ARCH_MEMORY_PLUS;
    const bool has_batch_norm = (is_pkm || is_plus) && c->memory_query_norm == MN__PKM_BATCH;
    if (is_pkm && c->memory_value_width != c->model_width)
        return mn__fail(diag, MN_ERANGE,
                        "memory.value_width: pkm adds rows to the stream: width %zu wanted, %zu "
                        "found",
                        c->model_width, c->memory_value_width);
    if ((is_pkm || is_plus) && c->memory_keep > c->memory_keys)
        return mn__fail(diag, MN_ERANGE, "memory.keep: at most the %zu keys wanted, %zu found",
                        c->memory_keys, c->memory_keep);
    /* A pass that keeps nothing would take the running statistics. */
    if (has_batch_norm && c->train_recompute)
        return mn__fail(diag, MN_ERANGE,
                        "train.recompute: no with memory.query_norm = batch wanted, yes found");
    return MN_OK;
}

static mn_status check_lookups(const mn__config *c, mn_diag *diag)
{
    const bool is_former = c->model_arch == MN__ARCH_MEMORYFORMER;
    if (!is_former && c->model_arch != MN__ARCH_LOOKUP_FFN) return MN_OK;
    if (is_former && c->lookup_tables * c->lookup_bits != c->model_width)
        return mn__fail(diag, MN_ERANGE,
                        "lookup: tables times bits wanted to be the width %zu, %zu x %zu found",
                        c->model_width, c->lookup_tables, c->lookup_bits);
    if (is_former && c->lookup_bits + c->lookup_extra_bits > MN__MEMORY_BITS)
        return mn__fail(diag, MN_ERANGE, "lookup: bits and extra_bits up to %d wanted, %zu found",
                        MN__MEMORY_BITS, c->lookup_bits + c->lookup_extra_bits);
    return MN_OK;
}

static mn_status check_experts(const mn__config *c, mn_diag *diag)
{
    if (c->model_arch != MN__ARCH_MOE) return MN_OK;
    if (c->experts_keep > c->experts_n)
        return mn__fail(diag, MN_ERANGE, "experts.keep: at most the %zu experts wanted, %zu found",
                        c->experts_n, c->experts_keep);
    if (c->model_activation == MN__ACT_GELU_TANH)
        return mn__fail(diag, MN_ERANGE,
                        "model.activation: gelu or swiglu of experts wanted, "
                        "gelu_tanh found");
    return MN_OK;
}

static mn_status check_steps(mn__config *c, mn_diag *diag)
{
    if (c->train_batch > ROWS_MAX / c->train_length)
        return mn__fail(diag, MN_ERANGE,
                        "train: a pass of at most %zu tokens wanted, %zu x %zu found", ROWS_MAX,
                        c->train_batch, c->train_length);
    const size_t a_step = c->train_batch * c->train_length * c->train_passes;
    if (!c->train_steps) c->train_steps = c->train_tokens / a_step;
    if (!c->train_steps)
        return mn__fail(
            diag, MN_ERANGE,
            "train.steps, or at least the %zu tokens of a step in train.tokens, wanted: "
            "%zu found",
            a_step, c->train_tokens);
    return MN_OK;
}

mn_status mn__config_check(mn__config *c, mn_diag *diag)
{
    mn_status st;
    derive_sizes(c);
    MN_TRY(check_heads(c, diag));
    MN_TRY(check_experts(c, diag));
    MN_TRY(check_memories(c, diag));
    MN_TRY(check_lookups(c, diag));
    MN_TRY(check_steps(c, diag));
done:
    return st;
}
