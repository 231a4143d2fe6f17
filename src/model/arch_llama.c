/* arch_llama.c: Llama 1-3, Mistral, SmolLM2: adjacent pairs rotate, optional biases and rope_freqs.
 */
#include "model/archs.h"
#include "model/bind.h"
#include "model/keys.h"

static mn_status read_keys(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    mn_status st = mn__keys_common(m, diag);
    if (st != MN_OK) return st;
    return mn__keys_rope(m, p, (mn__rope_style){.has_freqs = true, .has_long_short = true}, diag);
}

static mn_status bind(struct mn_model *m, mn_diag *diag)
{
    return mn__bind_dense(m, MN__BIND_OUT_BIAS, diag);
}

const struct mn__arch mn__arch_llama = {"llama", read_keys, bind};
