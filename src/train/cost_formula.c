/* cost_formula.c: the papers' formulas, in multiply-adds of one token until they become FLOPs.
 * Ref: arXiv 2411.12992, section 3.4 (MemoryFormer), 2411.12364 and 2508.18756 (UltraMem),
 * 1907.05242 (product keys), 2412.09764 (Memory+), 2006.04768, 2009.14794, 2202.08791 (attentions).
 *
 *   D width, F hidden, H heads, n keys of an axis, d half a key, m rows kept by a head, r rank,
 *   h cores, E virtual tables, K look-up tables of 2^tau rows
 *
 *   attention 4 D^2, GELU 2 D F, SwiGLU 3 D F, head V D
 *   softmax of T positions: 2 T D (no half for causality); features: 4 features dim H
 *   UltraMem: query 2 D d, scores 2 H n r d, grid H m^2 h r^2, sums H m Dv, projection E Dv D
 *   UltraMemV2: query 2 D r d, pre-values D Dp + H m Dp, sums H m Dv, projection Dv D
 *   look-ups: (tau + D) K; of layers that share a hash tau K once */
#include "train/cost.h"

#include <math.h>

#include "layer/bh4.h"
#include "layer/dense_ffn.h"
#include "layer/insertion.h"
#include "layer/mixer.h"
#include "layer/tucker_search.h"

static double real(size_t n)
{
    return (double)n;
}

/* Memories between blocks. */
static double memories_of(const mn__config *c)
{
    mn__insertions at;
    mn_diag ignored;
    if (c->model_arch < MN__ARCH_PKM || c->model_arch > MN__ARCH_ULTRAMEM_V2) return 0;
    if (mn__insertions_parse(c->memory_insert, c->model_blocks, &at, &ignored) != MN_OK) return 0;
    return real(at.n);
}

static double kv_width(const mn__config *c)
{
    return real(c->model_width / c->model_heads * c->model_kv_heads);
}

static bool is_former(const mn__config *c)
{
    return c->model_arch == MN__ARCH_MEMORYFORMER;
}

/* ---- blocks ---- */

static mn_cost_row matrix(double n)
{
    return (mn_cost_row){n, n, n};
}

static mn_cost_row attention(const mn__config *c)
{
    const double d = real(c->model_width);
    mn_cost_row row = {0};
    if (is_former(c) && c->lookup_attention)
        row.flops = d; /* one hash of K tau = D coordinates */
    else
        row = matrix(d * (d + 2 * kv_width(c)));
    const double more =
        (c->model_out ? d * d : 0) + (c->model_mixer == MN__MIX_LINFORMER
                                          ? 2 * real(c->model_mix_block * c->model_mix_slots)
                                          : 0);
    row.params += more;
    row.active += more;
    row.flops += c->model_out ? d * d : 0;
    return row;
}

static double pairs(const mn__config *c)
{
    const double d = real(c->model_width), dim = real(c->model_width / c->model_heads),
                 length = real(c->train_length);
    switch ((mn__mix_kind)c->model_mixer) {
    case MN__MIX_SOFTMAX: return 2 * length * d;
    case MN__MIX_PERFORMER: {
        const double features = c->model_features ? real(c->model_features) : floor(dim * log(dim));
        return 4 * features * d;
    }
    case MN__MIX_COSFORMER: return 2 * (2 * dim) * d;
    case MN__MIX_LINFORMER:
        return 4 * floor(length / real(c->model_mix_block)) * real(c->model_mix_slots) * d;
    }
    return 0;
}

static mn_cost_row look_up_projection(const mn__config *c)
{
    const double n_hash = real(c->lookup_tables * c->lookup_bits);
    mn_cost_row row = matrix(real(c->model_width) * n_hash);
    if (c->lookup_projection == MN__PROJECTION_BH4) {
        const mn__bh4 b = {.n_in = c->model_width,
                           .n_out = c->lookup_tables * c->lookup_bits,
                           .block = c->lookup_bh4_block};
        row = matrix(real(mn__bh4_repeats(&b)) * MN__BH4_STAGES * real(mn__bh4_padded(&b)) *
                     real(b.block));
    }
    row.flops += n_hash;
    return row;
}

static mn_cost_row feed_forward(const mn__config *c)
{
    const double d = real(c->model_width);
    const double n_matrix = c->model_activation == MN__ACT_SWIGLU ? 3 : 2;
    switch ((mn__arch_kind)c->model_arch) {
    case MN__ARCH_MOE: {
        const double expert = n_matrix * d * real(c->experts_inner), n = real(c->experts_n),
                     active = real(c->experts_keep) * expert + n * d;
        return (mn_cost_row){n * expert + n * d, active, active};
    }
    case MN__ARCH_MEMORYFORMER:
        return (mn_cost_row){
            .flops = d + real(c->lookup_tables * (c->lookup_bits + c->lookup_extra_bits))};
    case MN__ARCH_LOOKUP_FFN: return look_up_projection(c);
    default: return matrix(n_matrix * d * real(c->model_hidden));
    }
}

/* ---- memories ---- */

/* Keys of an axis that the search sees. */
static double keys_of_axis(const mn__config *c)
{
    const double n = real(c->memory_keys);
    if (c->model_arch == MN__ARCH_ULTRAMEM) return floor(sqrt(real(c->memory_expand))) * n;
    if (c->model_arch == MN__ARCH_ULTRAMEM_V2)
        return real(c->memory_key_expand) *
               floor(sqrt(memories_of(c) * n * n * c->memory_share * (1 + 1e-12)));
    return n;
}

static mn_cost_row memory(const mn__config *c)
{
    const double d = real(c->model_width), half = real(c->memory_key_width),
                 value = real(c->memory_value_width), rank = real(c->memory_rank),
                 core = real(c->memory_heads * c->memory_cores) * rank * rank;
    mn_cost_row row = {0};
    switch ((mn__arch_kind)c->model_arch) {
    case MN__ARCH_PKM: return matrix(2 * d * half * real(c->memory_heads));
    case MN__ARCH_MEMORY_PLUS:
        row = matrix(2 * d * half * real(c->memory_heads));
        row.params += (c->memory_swilu ? d * value : 0) + (c->memory_gate ? d : 0) +
                      (c->memory_swilu || value < d || value > d ? d * value : 0);
        return matrix(row.params);
    case MN__ARCH_ULTRAMEM: {
        const double n = 2 * d * half + real(c->memory_expand) * value * d;
        return (mn_cost_row){n + core, n + core, n};
    }
    case MN__ARCH_ULTRAMEM_V2: {
        const double n_part = c->memory_query == MN__QUERY_PER_RANK ? rank : 1,
                     dead = c->memory_query == MN__QUERY_PUBLISHED ? 2 * d * half * (rank - 1) : 0,
                     n = 2 * d * n_part * half + d * real(c->memory_pre_width) + value * d;
        return (mn_cost_row){n + core + dead, n + core, n};
    }
    default: return row;
    }
}

static mn_cost_row keys(const mn__config *c)
{
    const bool is_tucker =
        c->model_arch == MN__ARCH_ULTRAMEM || c->model_arch == MN__ARCH_ULTRAMEM_V2;
    const double heads = real(c->memory_heads), m = real(c->memory_keep),
                 rank = is_tucker ? real(c->memory_rank) : 1,
                 n = 2 * heads * keys_of_axis(c) * rank * real(c->memory_key_width);
    mn_cost_row row = matrix(n);
    if (is_tucker) row.flops += heads * m * m * real(c->memory_cores) * rank * rank;
    return row;
}

/* ---- tables ---- */

static mn__cost_table look_up(const mn__config *c, size_t n_bit, double width)
{
    return (mn__cost_table){real(c->model_blocks * c->lookup_tables), ldexp(1, (int)n_bit), 1,
                            width};
}

size_t mn__cost_tables(const mn__config *c, mn__cost_table out[MN__COST_TABLE_KINDS])
{
    const double d = real(c->model_width), n_memory = memories_of(c),
                 n_row = real(c->memory_keys) * real(c->memory_keys),
                 hits = real(c->memory_heads * c->memory_keep);
    size_t n = 0;
    switch ((mn__arch_kind)c->model_arch) {
    case MN__ARCH_PKM:
    case MN__ARCH_MEMORY_PLUS:
    case MN__ARCH_ULTRAMEM: {
        const double n_table = c->memory_share_values && n_memory > 0 ? 1 : n_memory;
        if (n_table > 0)
            out[n++] = (mn__cost_table){n_table, n_row, n_memory / n_table * hits,
                                        real(c->memory_value_width)};
        break;
    }
    case MN__ARCH_ULTRAMEM_V2:
        if (!(n_memory > 0)) break;
        out[n++] =
            (mn__cost_table){1, n_memory * n_row, n_memory * hits, real(c->memory_value_width)};
        out[n++] =
            (mn__cost_table){1, n_memory * n_row, n_memory * hits, real(c->memory_pre_width)};
        break;
    case MN__ARCH_MEMORYFORMER: {
        const size_t wide = c->lookup_bits + c->lookup_extra_bits;
        if (c->lookup_attention) out[n++] = look_up(c, c->lookup_bits, d + 2 * kv_width(c));
        out[n++] = look_up(c, c->lookup_bits, real(c->lookup_tables * wide));
        out[n++] = look_up(c, wide, d);
        break;
    }
    case MN__ARCH_LOOKUP_FFN: out[n++] = look_up(c, c->lookup_bits, d); break;
    default: break;
    }
    return n;
}

static mn_cost_row tables(const mn__config *c)
{
    mn__cost_table t[MN__COST_TABLE_KINDS];
    const size_t n = mn__cost_tables(c, t);
    mn_cost_row row = {0};
    for (size_t i = 0; i < n; i++) {
        row.params += t[i].n * t[i].n_row * t[i].width;
        row.active += t[i].n * t[i].n_hit * t[i].width;
    }
    row.flops = row.active;
    return row;
}

/* ---- all ---- */

static mn_cost_row times(mn_cost_row row, double n)
{
    return (mn_cost_row){n * row.params, n * row.active, n * row.flops};
}

void mn__cost_formula(const mn__config *c, mn_cost_row out[MN_COST_PARTS])
{
    const double d = real(c->model_width), head = real(c->model_vocab) * d,
                 n_block = real(c->model_blocks), n_memory = memories_of(c);
    for (int i = 0; i < MN_COST_PARTS; i++) out[i] = (mn_cost_row){0};
    out[MN_COST_EMBEDDING] =
        (mn_cost_row){c->model_tied ? head : 2 * head, c->model_tied ? head : head + d, head};
    out[MN_COST_ATTENTION] = times(attention(c), n_block);
    out[MN_COST_PAIRS].flops = n_block * pairs(c);
    out[MN_COST_FEED_FORWARD] = times(feed_forward(c), n_block);
    if (n_memory > 0) {
        out[MN_COST_MEMORY] = times(memory(c), n_memory);
        out[MN_COST_KEYS] = times(keys(c), n_memory);
    }
    out[MN_COST_TABLES] = tables(c);
    for (int i = 0; i < MN_COST_PARTS; i++) out[i].flops *= 2;
}

mn_cost_row mn_cost_total(const mn_cost_row part[MN_COST_PARTS])
{
    mn_cost_row sum = {0};
    for (int i = 0; i < MN_COST_PARTS; i++) {
        sum.params += part[i].params;
        sum.active += part[i].active;
        sum.flops += part[i].flops;
    }
    return sum;
}

/* ---- what is read ---- */

/* Different ones of n, where `batch` tokens choose `each` of them; log1p: n may be large. */
static double distinct(double n, double each, double batch)
{
    return each < n ? n * -expm1(batch * log1p(-each / n)) : n;
}

/* Of one layer: dense 8 D^2, experts min(k B, M) 2 D^2, rows min(B m, N) D/2. */
static double paper_access(const mn__config *c, double batch)
{
    const double d = real(c->model_width), n_row = real(c->memory_keys) * real(c->memory_keys);
    switch ((mn__arch_kind)c->model_arch) {
    case MN__ARCH_DENSE: return 8 * d * d;
    case MN__ARCH_MOE: return fmin(real(c->experts_keep) * batch, real(c->experts_n)) * 2 * d * d;
    case MN__ARCH_ULTRAMEM:
        return fmin(batch * real(c->memory_heads * c->memory_keep), n_row) * d / 2;
    default: return 0;
    }
}

mn_cost_decode mn__cost_decode(const mn__config *c, double batch)
{
    const double d = real(c->model_width);
    mn_cost_row part[MN_COST_PARTS];
    mn__cost_table t[MN__COST_TABLE_KINDS];
    const size_t n = mn__cost_tables(c, t);
    mn__cost_formula(c, part);
    mn_cost_decode r = {.batch = batch,
                        .paper_layer = paper_access(c, batch),
                        .head = (real(c->model_vocab) + (c->model_tied ? 0 : batch)) * d,
                        .dense = part[MN_COST_ATTENTION].active + part[MN_COST_MEMORY].active,
                        .keys = part[MN_COST_KEYS].active};
    if (c->model_arch == MN__ARCH_MOE) {
        const double n_expert = real(c->experts_n), router = real(c->model_blocks) * n_expert * d,
                     expert = (part[MN_COST_FEED_FORWARD].params - router) / n_expert;
        r.dense += router;
        r.experts = expert * distinct(n_expert, real(c->experts_keep), batch);
    } else {
        r.dense += part[MN_COST_FEED_FORWARD].active;
    }
    for (size_t i = 0; i < n; i++)
        r.rows += t[i].n * t[i].width * distinct(t[i].n_row, 1, batch * t[i].n_hit);
    return r;
}

mn_cost_claims mn__cost_former_claims(const mn__config *c, double s)
{
    const double d = real(c->model_width), n_table = real(c->lookup_tables),
                 tau = real(c->lookup_bits), wide = tau + real(c->lookup_extra_bits);
    return (mn_cost_claims){.length = s,
                            .dense = 12 * d * d,
                            .rows = n_table * (3 * d + n_table * wide + d),
                            .formula = 6 / tau * d * d,
                            .attention = 2 * s * d};
}
