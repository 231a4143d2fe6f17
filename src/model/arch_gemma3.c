/* arch_gemma3.c: Gemma 3 (text): most layers see a sliding window and rotate by a base of their
 * own, every sixth sees everything; heads of q and k are normed, so are the outputs of attention
 * and feed-forward; the embedding is scaled by sqrt(C). The norms' "1 +" is already in the file's
 * numbers. */
#include <math.h>

#include "base/diag.h"
#include "gguf/gguf_key.h"
#include "model/archs.h"
#include "model/bind.h"
#include "model/keys.h"

enum { LAYERS_27B = 62, USUAL_PATTERN = 6 };

static bool is_array(const struct mn_model *m, const char *key, enum gguf_type type)
{
    mn__gguf_array array;
    return mn__gguf_has(m->file, key) &&
           mn__gguf_need_array(m->file, key, type, &array, NULL) == MN_OK;
}

/* Which layers slide: an array with a flag per layer, or a number n: all but every n-th (0: all),
 * or nothing: n = 6. */
static mn_status read_pattern(struct mn_model *m, int32_t window, mn_diag *diag)
{
    mn_status st;
    char key[MN__KEY_BYTES];
    bool flag[MN__MAX_LAYER];
    uint32_t slides[MN__MAX_LAYER], every = USUAL_PATTERN;
    mn__key_name(m, "attention.sliding_window_pattern", key);
    if (is_array(m, key, GGUF_TYPE_BOOL)) {
        MN_TRY(mn__gguf_each_bool(m->file, key, NULL, m->n_layer, flag, diag));
        for (size_t i = 0; i < m->n_layer; i++) slides[i] = flag[i];
    } else if (is_array(m, key, GGUF_TYPE_INT32) || is_array(m, key, GGUF_TYPE_UINT32)) {
        MN_TRY(mn__gguf_each_u32(m->file, key, NULL, m->n_layer, slides, diag));
    } else {
        MN_TRY(mn__gguf_get_u32(m->file, key, USUAL_PATTERN, &every, diag));
        for (size_t i = 0; i < m->n_layer; i++) slides[i] = every == 0 || i % every < every - 1;
    }
    for (size_t i = 0; i < m->n_layer; i++) {
        m->window[i] = slides[i] ? window : 0;
        if (slides[i]) m->layer_rope[i] = &m->rope_local;
    }
done:
    return st;
}

static mn_status read_windows(struct mn_model *m, mn_diag *diag)
{
    mn_status st;
    char key[MN__KEY_BYTES];
    uint32_t window = 0;
    float base = 10000;
    MN_TRY(mn__gguf_get_u32(m->file, mn__key_name(m, "attention.sliding_window", key), 0, &window,
                            diag));
    if (window > 1u << 30)
        return mn__fail(diag, MN_EINPUT, "%s: %s: at most %u wanted, %u found",
                        mn__gguf_name(m->file), key, 1u << 30, window);
    if (window == 0) return MN_OK; /* every layer sees everything */
    MN_TRY(mn__key_float(m, "rope.freq_base_swa", (mn__float_range){1.001f, 1e15f}, &base, diag));
    MN_TRY(mn__keys_rope_local(m, base, diag));
    MN_TRY(read_pattern(m, (int32_t)window, diag));
done:
    return st;
}

static mn_status read_keys(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    mn_status st;
    MN_TRY(mn__keys_common(m, diag));
    MN_TRY(mn__keys_rope(m, p, (mn__rope_style){.neox = true}, diag));
    MN_TRY(read_windows(m, diag));
    MN_TRY(mn__key_float(m, "final_logit_softcapping", (mn__float_range){0, 1e6f},
                         &m->logit_softcap, diag));
    m->act = MN__GLU_GELU;
    m->embd_scale = sqrtf((float)m->n_embd);
    /* the 27B model divides by the width per head, not by the head size */
    if (m->n_layer == LAYERS_27B) m->softmax_scale = 1.0f / sqrtf((float)(m->n_embd / m->n_head));
done:
    return st;
}

static mn_status bind(struct mn_model *m, mn_diag *diag)
{
    return mn__bind_dense(m, MN__BIND_HEAD_NORMS | MN__BIND_POST_NORMS, diag);
}

const struct mn__arch mn__arch_gemma3 = {"gemma3", read_keys, bind};
