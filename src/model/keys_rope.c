/* keys_rope.c: rules that stretch a rotation over a longer text, folded into one table of
 * frequencies. Pair i of channels turns by pos * freq[i] at position pos; freq[i] begins as
 * base^(-2i/n_rot) and is
 *
 * - divided by a tensor's number for the pair (Llama 3, LongRoPE), before all else;
 * - linear: divided by the factor;
 * - NTK: made of the base times factor^(n_rot/(n_rot-2)), which stretches the longest wave by it;
 * - YaRN: between undivided and divided by the factor, by how often the wave turns in the original
 *   context; cos and sin grow by 1 + 0.1 ln factor. Ref: arXiv 2309.00071 */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "gguf/gguf_key.h"
#include "model/bind.h"
#include "model/keys.h"

typedef struct rule {
    mn_rope_scaling kind;
    bool is_long;               /* the file says "longrope" */
    double base, factor;        /* factor 1: unscaled */
    float beta_fast, beta_slow; /* turns from which YaRN leaves, to which it squeezes a wave */
    size_t n_orig;              /* context before stretching */
    const float *divide;        /* [n_rot/2] or NULL */
} rule;

enum { MAX_FACTOR = 1 << 16 };

static mn_status read_kind(const struct mn_model *m, rule *r, mn_diag *diag)
{
    static const struct {
        const char *name;
        mn_rope_scaling kind;
    } known[] = {{"none", MN_ROPE_NONE},
                 {"linear", MN_ROPE_LINEAR},
                 {"yarn", MN_ROPE_YARN},
                 {"longrope", MN_ROPE_LINEAR}};
    char key[MN__KEY_BYTES];
    const char *name = NULL;
    mn_status st =
        mn__gguf_get_str(m->file, mn__key_name(m, "rope.scaling.type", key), "linear", &name, diag);
    if (st != MN_OK) return st;
    r->is_long = strcmp(name, "longrope") == 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        r->kind = known[i].kind;
        return MN_OK;
    }
    return mn__fail(diag, MN_EINPUT, "%s: %s: none, linear, yarn or longrope wanted, '%.40s' found",
                    mn__gguf_name(m->file), key, name);
}

static mn_status read_rule(struct mn_model *m, rule *r, mn_diag *diag)
{
    mn_status st;
    char key[MN__KEY_BYTES];
    uint32_t n_orig = 0;
    float base = 10000, factor = 0;
    const mn__float_range turns = {1e-3f, 1e6f}, factors = {0, MAX_FACTOR};
    *r = (rule){.beta_fast = 32, .beta_slow = 1};
    MN_TRY(read_kind(m, r, diag));
    MN_TRY(mn__key_float(m, "rope.freq_base", (mn__float_range){1.001f, 1e15f}, &base, diag));
    MN_TRY(mn__key_float(m, "rope.scale_linear", factors, &factor, diag)); /* the older name */
    MN_TRY(mn__key_float(m, "rope.scaling.factor", factors, &factor, diag));
    MN_TRY(mn__key_float(m, "rope.scaling.attn_factor", (mn__float_range){1e-3f, 1e3f},
                         &m->rope.magnitude, diag));
    MN_TRY(mn__key_float(m, "rope.scaling.yarn_beta_fast", turns, &r->beta_fast, diag));
    MN_TRY(mn__key_float(m, "rope.scaling.yarn_beta_slow", turns, &r->beta_slow, diag));
    MN_TRY(mn__gguf_get_u32(m->file, mn__key_name(m, "rope.scaling.original_context_length", key),
                            (uint32_t)m->n_ctx_train, &n_orig, diag));
    r->n_orig = n_orig ? n_orig : m->n_ctx_train;
    r->base = base;
    r->factor = factor == 0 || r->kind == MN_ROPE_NONE ? 1 : factor;
done:
    return st;
}

/* What the caller wants instead. */
static mn_status apply_wishes(struct mn_model *m, const mn_model_params *p, rule *r, mn_diag *diag)
{
    if (p->rope_base != 0 && !(p->rope_base > 1 && p->rope_base <= 1e15f))
        return mn__fail(diag, MN_EUSAGE, "rope base: above 1 and at most 1e15 wanted, %g given",
                        (double)p->rope_base);
    if (p->rope_factor != 0 && !(p->rope_factor > 0 && p->rope_factor <= MAX_FACTOR))
        return mn__fail(diag, MN_EUSAGE, "rope factor: above 0 and at most %d wanted, %g given",
                        MAX_FACTOR, (double)p->rope_factor);
    if ((unsigned)p->rope_scaling > MN_ROPE_YARN)
        return mn__fail(diag, MN_EUSAGE, "rope scaling: a known rule wanted, number %d given",
                        (int)p->rope_scaling);
    if (p->rope_base != 0) r->base = p->rope_base;
    if (p->rope_scaling != MN_ROPE_MODEL) r->kind = p->rope_scaling;
    if (p->rope_factor != 0) r->factor = p->rope_factor;
    if (p->rope_scaling == MN_ROPE_NONE) {
        r->factor = 1;
        if (r->n_orig < m->n_ctx_train) m->n_ctx_train = r->n_orig;
    } else if (r->kind == MN_ROPE_NONE && p->rope_factor != 0) {
        return mn__fail(diag, MN_EUSAGE, "rope factor: a rule for it wanted, since %s says 'none'",
                        mn__gguf_name(m->file));
    } else if (p->rope_scaling != MN_ROPE_MODEL && p->rope_factor == 0 && r->factor == 1) {
        return mn__fail(diag, MN_EUSAGE, "rope scaling: a factor wanted, since %s names none",
                        mn__gguf_name(m->file));
    } else if (p->rope_scaling != MN_ROPE_MODEL || p->rope_factor != 0) {
        double n_ctx = (double)r->n_orig * r->factor;
        if (n_ctx > (double)m->n_ctx_train)
            m->n_ctx_train = n_ctx < 1 << 30 ? (size_t)n_ctx : 1 << 30;
    }
    return MN_OK;
}

static mn_status find_factors(struct mn_model *m, const mn__rope_style *style, rule *r,
                              bool is_short, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t n = m->rope.n_rot / 2;
    const float *long_factor = NULL, *short_factor = NULL;
    if (style->has_freqs && !r->is_long) {
        const mn__wanted freqs = {
            .layer = -1, .what = "rope_freqs.weight", .n_in = n, .optional = true};
        MN_TRY(mn__bind_floats(m, &freqs, &r->divide, diag));
    }
    if (style->has_long_short) {
        const mn__wanted far = {
            .layer = -1, .what = "rope_factors_long.weight", .n_in = n, .optional = true};
        const mn__wanted near = {
            .layer = -1, .what = "rope_factors_short.weight", .n_in = n, .optional = true};
        MN_TRY(mn__bind_floats(m, &far, &long_factor, diag));
        MN_TRY(mn__bind_floats(m, &near, &short_factor, diag));
        if (!r->divide) r->divide = is_short ? short_factor : long_factor;
    }
    for (size_t i = 0; r->divide && i < n; i++)
        if (!(fabsf(r->divide[i]) >= 1e-6f && fabsf(r->divide[i]) <= 1e9f))
            return mn__fail(diag, MN_EINPUT,
                            "%s: factor %zu of the rotation: a number away from 0 wanted, %g found",
                            mn__gguf_name(m->file), i, (double)r->divide[i]);
done:
    return st;
}

/* The pair whose wave turns `turns` times in the original context. In float, as ggml has it: the
 * ends of the ramp are whole numbers, and rounding must not set one elsewhere. */
static float pair_of_turns(size_t n_rot, const rule *r, float turns)
{
    return (float)n_rot * logf((float)r->n_orig / (turns * 2 * (float)M_PI)) /
           (2 * logf((float)r->base));
}

/* How much of pair i YaRN leaves as it was: 1 for waves that turn often, 0 for slow ones. */
static double yarn_share(size_t n_rot, const rule *r, size_t i)
{
    double low = fmax(0, floorf(pair_of_turns(n_rot, r, r->beta_fast)));
    double high = fmin((double)n_rot - 1, ceilf(pair_of_turns(n_rot, r, r->beta_slow)));
    double x = ((double)i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, x));
}

static mn_status fill_table(struct mn_model *m, mn__rope *rope, const rule *r, mn_diag *diag)
{
    double base = r->base, n_rot = (double)rope->n_rot;
    double *freq = mn__model_own(m, rope->n_rot / 2 * sizeof *freq);
    if (!freq)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory for its frequencies",
                        mn__gguf_name(m->file));
    if (r->kind == MN_ROPE_NTK) base *= pow(r->factor, rope->n_rot > 2 ? n_rot / (n_rot - 2) : 1);
    for (size_t i = 0; i < rope->n_rot / 2; i++) {
        double plain = pow(base, -2 * (double)i / n_rot);
        if (r->divide) plain /= r->divide[i];
        double squeezed = plain / r->factor;
        double share = r->kind == MN_ROPE_YARN ? yarn_share(rope->n_rot, r, i) : 0;
        freq[i] = r->kind == MN_ROPE_NTK ? plain : squeezed * (1 - share) + plain * share;
    }
    rope->freq = freq;
    return MN_OK;
}

mn_status mn__keys_rope(struct mn_model *m, const mn_model_params *p, mn__rope_style style,
                        mn_diag *diag)
{
    mn_status st;
    char key[MN__KEY_BYTES];
    uint32_t n_rot = 0;
    rule r;
    MN_TRY(mn__gguf_get_u32(m->file, mn__key_name(m, "rope.dimension_count", key),
                            (uint32_t)m->head_dim, &n_rot, diag));
    if (n_rot < 2 || n_rot > m->head_dim || n_rot % 2 != 0)
        return mn__fail(diag, MN_EINPUT,
                        "%s: %s: an even number up to the head size %zu wanted, %u found",
                        mn__gguf_name(m->file), key, m->head_dim, n_rot);
    m->rope = (mn__rope){.n_rot = n_rot, .neox = style.neox, .magnitude = 1};
    MN_TRY(read_rule(m, &r, diag));
    /* YaRN's growth, to come, is not for local layers. */
    m->rope_local = (mn__rope){.magnitude = m->rope.magnitude};
    bool is_short = p->rope_scaling == MN_ROPE_NONE || m->n_ctx_train <= r.n_orig;
    MN_TRY(apply_wishes(m, p, &r, diag));
    MN_TRY(find_factors(m, &style, &r, is_short, diag));
    if (r.kind == MN_ROPE_YARN && r.factor > 1)
        m->rope.magnitude *= (float)(1 + 0.1 * log(r.factor));
    MN_TRY(fill_table(m, &m->rope, &r, diag));
    for (size_t i = 0; i < m->n_layer; i++) m->layer_rope[i] = &m->rope;
done:
    return st;
}

mn_status mn__keys_rope_local(struct mn_model *m, float base, mn_diag *diag)
{
    const rule plain = {.kind = MN_ROPE_NONE, .base = base, .factor = 1};
    m->rope_local.n_rot = m->rope.n_rot;
    m->rope_local.neox = m->rope.neox;
    return fill_table(m, &m->rope_local, &plain, diag);
}
