/* arch_qwen2.c: Qwen 2 and 2.5: halves rotate; q, k and v have biases. */
#include "model/archs.h"
#include "model/bind.h"
#include "model/keys.h"

static mn_status read_keys(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    mn_status st = mn__keys_common(m, diag);
    if (st != MN_OK) return st;
    return mn__keys_rope(m, p, (mn__rope_style){.neox = true}, diag);
}

static mn_status bind(struct mn_model *m, mn_diag *diag)
{
    return mn__bind_dense(m, MN__BIND_HEAD_BIAS, diag);
}

const struct mn__arch mn__arch_qwen2 = {"qwen2", read_keys, bind};
