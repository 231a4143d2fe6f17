/* config_gguf.c: the table of options, as keys: sizes as uint64, numbers as float64, choices by
 * their names. */
#include "lm/config_gguf.h"

#include <stdio.h>

#include "base/diag.h"
#include "gguf/gguf_key.h"

enum { KEY_BYTES = 96 };

static void key_of(const mn__config_field *f, char out[KEY_BYTES])
{
    snprintf(out, KEY_BYTES, MN__LM_ARCHITECTURE ".%s", f->name);
}

static void put_option(const mn__config *c, const mn__config_field *f, mn__gguf_writer *w)
{
    char key[KEY_BYTES], value[MN__CONFIG_TEXT];
    const void *at = (const char *)c + f->at;
    key_of(f, key);
    switch (f->kind) {
    case MN__CONFIG_IS_SECTION: break;
    case MN__CONFIG_IS_SIZE: mn__gguf_set_u64(w, key, *(const size_t *)at); break;
    case MN__CONFIG_IS_REAL: mn__gguf_set_f64(w, key, *(const double *)at); break;
    case MN__CONFIG_IS_FLAG: mn__gguf_set_bool(w, key, *(const bool *)at); break;
    case MN__CONFIG_IS_CHOICE:
    case MN__CONFIG_IS_TEXT:
        mn__config_value(c, f, value, sizeof value);
        mn__gguf_set_str(w, key, value);
        break;
    }
}

static bool is_of_model(const mn__config_field *f)
{
    return f->kind != MN__CONFIG_IS_SECTION && f->use == MN__CONFIG_MODEL;
}

/* What llama.cpp's files call these sizes. */
static void put_common(const mn__config *c, mn__gguf_writer *w)
{
    const size_t dim = c->model_width / c->model_heads;
    mn__gguf_set_u32(w, "mneme.vocab_size", (uint32_t)c->model_vocab);
    mn__gguf_set_u32(w, "mneme.block_count", (uint32_t)c->model_blocks);
    mn__gguf_set_u32(w, "mneme.context_length", (uint32_t)c->model_context);
    mn__gguf_set_u32(w, "mneme.embedding_length", (uint32_t)c->model_width);
    mn__gguf_set_u32(w, "mneme.feed_forward_length", (uint32_t)c->model_hidden);
    mn__gguf_set_u32(w, "mneme.attention.head_count", (uint32_t)c->model_heads);
    mn__gguf_set_u32(w, "mneme.attention.head_count_kv", (uint32_t)c->model_kv_heads);
    mn__gguf_set_f32(w, "mneme.attention.layer_norm_rms_epsilon", (float)c->model_norm_eps);
    mn__gguf_set_u32(w, "mneme.rope.dimension_count",
                     (uint32_t)(c->model_rotary_share * (double)dim) / 2 * 2);
    mn__gguf_set_f32(w, "mneme.rope.freq_base", (float)c->model_rotary_base);
}

void mn__config_put(const mn__config *c, mn__gguf_writer *w)
{
    mn__gguf_set_str(w, "general.architecture", MN__LM_ARCHITECTURE);
    put_common(c, w);
    for (size_t i = 0; i < mn__config_count(); i++)
        if (is_of_model(mn__config_at(i))) put_option(c, mn__config_at(i), w);
}

/* The file's value as a config's text: *text, or made in value. */
static mn_status read_option(const mn__gguf *g, const mn__config_field *f, const char *key,
                             char value[MN__CONFIG_TEXT], const char **text, mn_diag *diag)
{
    mn_status st = MN_OK;
    uint64_t size;
    double real;
    bool flag;
    *text = value;
    switch (f->kind) {
    case MN__CONFIG_IS_SECTION: break;
    case MN__CONFIG_IS_SIZE:
        MN_TRY(mn__gguf_need_u64(g, key, &size, diag));
        snprintf(value, MN__CONFIG_TEXT, "%llu", (unsigned long long)size);
        break;
    case MN__CONFIG_IS_REAL:
        MN_TRY(mn__gguf_need_f64(g, key, &real, diag));
        snprintf(value, MN__CONFIG_TEXT, "%.17g", real);
        break;
    case MN__CONFIG_IS_FLAG:
        MN_TRY(mn__gguf_need_bool(g, key, &flag, diag));
        snprintf(value, MN__CONFIG_TEXT, "%s", flag ? "yes" : "no");
        break;
    case MN__CONFIG_IS_CHOICE:
    case MN__CONFIG_IS_TEXT: MN_TRY(mn__gguf_need_str(g, key, text, diag)); break;
    }
done:
    return st;
}

static mn_status take_option(mn__config *c, const mn__gguf *g, const mn__config_field *f,
                             mn_diag *diag)
{
    char key[KEY_BYTES], value[MN__CONFIG_TEXT] = "";
    const char *text;
    key_of(f, key);
    if (!mn__gguf_has(g, key)) return MN_OK;
    mn_status st = read_option(g, f, key, value, &text, diag);
    if (st != MN_OK) return st;
    st = mn__config_set(c, f->section, f->key, text, diag);
    if (st == MN_OK) return MN_OK;
    mn__diag_prefix(diag, "%s: " MN__LM_ARCHITECTURE, mn__gguf_name(g));
    return MN_EINPUT;
}

mn_status mn__config_take(mn__config *out, const mn__gguf *g, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__config c;
    mn__config_init(&c);
    c.train_steps = 1; /* a checked config has some */
    for (size_t i = 0; i < mn__config_count() && st == MN_OK; i++)
        if (is_of_model(mn__config_at(i))) st = take_option(&c, g, mn__config_at(i), diag);
    if (st != MN_OK) return MN_EINPUT; /* numbers out of range too */
    if (mn__config_check(&c, diag) != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__gguf_name(g));
        return MN_EINPUT;
    }
    *out = c;
    return MN_OK;
}
