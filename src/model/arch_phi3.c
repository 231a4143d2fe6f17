/* arch_phi3.c: Phi 3 and 4-mini: q, k, v in one tensor, gate and up in another, LongRoPE. The
 * file's sliding window is not obeyed: llama.cpp reads these files the same way, because converters
 * wrote windows that the models do not have. */
#include "model/archs.h"
#include "model/bind.h"
#include "model/keys.h"

static mn_status read_keys(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    mn_status st = mn__keys_common(m, diag);
    if (st != MN_OK) return st;
    return mn__keys_rope(m, p, (mn__rope_style){.neox = true, .has_long_short = true}, diag);
}

static mn_status bind(struct mn_model *m, mn_diag *diag)
{
    return mn__bind_dense(m, MN__BIND_FUSED_GATE, diag);
}

const struct mn__arch mn__arch_phi3 = {"phi3", read_keys, bind};
