/* namm_file.c: a NAMM in a GGUF file, key by key: docs/namm.md. What is read and what is about to
 * be written pass the same checks, so that a file that was written can be read. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "gguf/gguf_key.h"
#include "gguf/gguf_write.h"
#include "policy/namm_input.h"

enum {
    VERSION = 1,
    AGE_MAX = 256,
    UPDATE_MAX = 1 << 24,
    STRIDE_MAX = 1024,
    OPTIONS_MAX = 4096,
    NOTE_KEY_MAX = 256,
    SIZE_MOST = 1 << 24, /* of any number of channels: the exact limits are the network's */
};

#define NOTE "namm.note."

static const char *const heads[] = {"linear", "mlp", "bam", "mix"};

/* ---- checks ---- */

mn_status mn__namm_times_check(const mn__namm *m, mn_diag *diag)
{
    const mn__namm_spectrum *s = &m->spectrum;
    if (s->window < 2 || s->window > MN__NAMM_WINDOW_MAX || s->window % 2)
        return mn__fail(diag, MN_EINPUT,
                        "namm.window: an even number from 2 to %d wanted, %zu found",
                        MN__NAMM_WINDOW_MAX, s->window);
    if (s->hop < 1 || s->window % s->hop)
        return mn__fail(diag, MN_EINPUT,
                        "namm.hop: a divisor of namm.window (%zu) wanted, %zu found", s->window,
                        s->hop);
    if (!(s->gamma > 0 && s->gamma < 1))
        return mn__fail(diag, MN_EINPUT,
                        "namm.gamma: a number between 0 and 1, both excluded, wanted, %g found",
                        s->gamma);
    if (m->update < 1 || m->update > UPDATE_MAX || m->update % s->hop)
        return mn__fail(diag, MN_EINPUT,
                        "namm.update: a multiple of namm.hop (%zu) up to %d wanted, %zu found",
                        s->hop, UPDATE_MAX, m->update);
    if (m->stride < 1 || m->stride > STRIDE_MAX)
        return mn__fail(diag, MN_EINPUT, "namm.stride: 1 to %d wanted, %zu found", STRIDE_MAX,
                        m->stride);
    if (m->age_dim % 2 || m->age_dim > AGE_MAX)
        return mn__fail(diag, MN_EINPUT, "namm.age_dim: an even number up to %d wanted, %zu found",
                        AGE_MAX, m->age_dim);
    if (!(m->age_base > 0 && isfinite(m->age_base)))
        return mn__fail(diag, MN_EINPUT, "namm.age_base: a positive number wanted, %g found",
                        m->age_base);
    return MN_OK;
}

static mn_status check_groups(size_t n, mn_diag *diag)
{
    if (n >= 1 && n <= MN__NAMM_INPUTS) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "namm.inputs: 1 to %d groups wanted, %zu found",
                    MN__NAMM_INPUTS, n);
}

static mn_status check_group_name(const char *name, mn_diag *diag)
{
    size_t n = strnlen(name, MN__NAMM_NAME);
    if (n >= 1 && n < MN__NAMM_NAME) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "namm.inputs: names of 1 to %d bytes wanted, '%.*s%s' found",
                    MN__NAMM_NAME - 1, MN__NAMM_NAME - 1, name, n ? "..." : "");
}

static mn_status check_statistics(const mn__namm *m, mn_diag *diag)
{
    for (size_t i = 0; i < m->net.n_in; i++) {
        if (!isfinite(m->mean[i]))
            return mn__fail(diag, MN_EINPUT,
                            "namm.mean: finite numbers wanted, %g found for input %zu",
                            (double)m->mean[i], i);
        if (!(m->deviation[i] > 0 && isfinite(m->deviation[i])))
            return mn__fail(diag, MN_EINPUT,
                            "namm.deviation: positive numbers wanted, %g found for input %zu",
                            (double)m->deviation[i], i);
    }
    return MN_OK;
}

static mn_status check_texts(const mn__namm *m, mn_diag *diag)
{
    if (strlen(m->options) > OPTIONS_MAX)
        return mn__fail(diag, MN_EINPUT, "namm.policy_options: at most %d bytes wanted, %zu found",
                        OPTIONS_MAX, strlen(m->options));
    for (size_t i = 0; i < m->n_note; i++) {
        size_t n = strlen(m->note[i].key);
        if (n < 1 || n > NOTE_KEY_MAX)
            return mn__fail(diag, MN_EINPUT,
                            NOTE "*: a name of 1 to %d bytes wanted, one of %zu found",
                            NOTE_KEY_MAX, n);
    }
    return MN_OK;
}

/* All but the sizes of the blocks, which are known to be there. */
static mn_status check(const mn__namm *m, mn_diag *diag)
{
    mn_status st;
    MN_TRY(mn__namm_times_check(m, diag));
    MN_TRY(check_groups(m->n_group, diag));
    for (size_t i = 0; i < m->n_group; i++) MN_TRY(check_group_name(m->group[i], diag));
    MN_TRY(mn__namm_net_check(&m->net, diag));
    MN_TRY(mn__namm_inputs_check(m, diag));
    MN_TRY(check_statistics(m, diag));
    MN_TRY(check_texts(m, diag));
done:
    return st;
}

/* ---- in ---- */

static mn_status need_size(const mn__gguf *g, const char *key, size_t *out, mn_diag *diag)
{
    uint32_t x = 0;
    mn_status st = mn__gguf_need_size(g, key, SIZE_MOST, &x, diag);
    *out = x;
    return st;
}

static mn_status read_kind(const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const char *architecture = "";
    uint32_t version = 0;
    MN_TRY(mn__gguf_need_str(g, "general.architecture", &architecture, diag));
    if (strcmp(architecture, "namm") != 0)
        return mn__fail(diag, MN_EINPUT, "%s: general.architecture: namm wanted, %s found",
                        mn__gguf_name(g), architecture);
    MN_TRY(mn__gguf_need_u32(g, "namm.version", &version, diag));
    if (version != VERSION)
        return mn__fail(diag, MN_EINPUT, "%s: namm.version: %d wanted, %" PRIu32 " found",
                        mn__gguf_name(g), VERSION, version);
done:
    return st;
}

static mn_status read_spectrum(mn__namm *m, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    uint32_t age_dim = 0, stride = 1;
    MN_TRY(need_size(g, "namm.window", &m->spectrum.window, diag));
    MN_TRY(need_size(g, "namm.hop", &m->spectrum.hop, diag));
    MN_TRY(mn__gguf_need_f64(g, "namm.gamma", &m->spectrum.gamma, diag));
    MN_TRY(need_size(g, "namm.update", &m->update, diag));
    MN_TRY(mn__gguf_get_u32(g, "namm.stride", 1, &stride, diag));
    m->stride = stride;
    MN_TRY(mn__gguf_need_u32(g, "namm.age_dim", &age_dim, diag));
    m->age_dim = age_dim;
    MN_TRY(mn__gguf_need_f64(g, "namm.age_base", &m->age_base, diag));
    MN_TRY(mn__gguf_need_bool(g, "namm.by_length", &m->spectrum.by_length, diag));
    MN_TRY(mn__gguf_need_bool(g, "namm.log", &m->spectrum.log, diag));
    MN_TRY(mn__gguf_need_bool(g, "namm.corrected", &m->spectrum.corrected, diag));
done:
    return st;
}

static mn_status read_groups(mn__namm *m, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    mn__gguf_array a = {0};
    MN_TRY(mn__gguf_need_array(g, "namm.inputs", GGUF_TYPE_STRING, &a, diag));
    st = check_groups(a.n, diag);
    for (size_t i = 0; st == MN_OK && i < a.n; i++) {
        const char *name = mn__gguf_array_str(g, &a, i);
        st = check_group_name(name, diag);
        if (st == MN_OK) memcpy(m->group[i], name, strlen(name) + 1);
    }
    if (st != MN_OK) mn__diag_prefix(diag, "%s", mn__gguf_name(g));
    m->n_group = a.n;
done:
    return st;
}

static mn_status read_head(mn__namm_net *net, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const char *head = "";
    MN_TRY(mn__gguf_need_str(g, "namm.head", &head, diag));
    while (net->head <= MN__NAMM_MIX && strcmp(head, heads[net->head]) != 0) net->head++;
    if (net->head > MN__NAMM_MIX)
        return mn__fail(diag, MN_EINPUT, "%s: namm.head: linear, mlp, bam or mix wanted, %s found",
                        mn__gguf_name(g), head);
    if (net->head == MN__NAMM_LINEAR) return MN_OK;
    if (net->head == MN__NAMM_MIX) return need_size(g, "namm.components", &net->n_part, diag);
    MN_TRY(mn__gguf_need_bool(g, "namm.bias", &net->bias, diag));
    if (net->head == MN__NAMM_BAM) {
        MN_TRY(need_size(g, "namm.hidden", &net->hidden, diag));
        MN_TRY(need_size(g, "namm.heads", &net->n_head, diag));
        MN_TRY(mn__gguf_need_bool(g, "namm.mult", &net->mult, diag));
        return MN_OK;
    }
    MN_TRY(need_size(g, "namm.depth", &net->depth, diag));
    if (net->depth == 1) return MN_OK;
    MN_TRY(need_size(g, "namm.hidden", &net->hidden, diag));
    MN_TRY(mn__gguf_need_bool(g, "namm.residual", &net->residual, diag));
    MN_TRY(mn__gguf_need_bool(g, "namm.residual_first", &net->residual_first, diag));
done:
    return st;
}

static mn_status find_floats(const mn__gguf *g, const char *name, const mn__gguf_tensor **out,
                             mn_diag *diag)
{
    const mn__gguf_tensor *t = mn__gguf_find_tensor(g, name);
    if (!t)
        return mn__fail(diag, MN_EINPUT, "%s: tensor %s wanted, none found", mn__gguf_name(g),
                        name);
    if (t->type != GGML_TYPE_F32 || t->ne[1] != 1 || t->ne[2] != 1 || t->ne[3] != 1)
        return mn__fail(diag, MN_EINPUT,
                        "%s: %s: one dimension of f32 wanted, %s [%" PRId64 ", %" PRId64
                        ", %" PRId64 ", %" PRId64 "] found",
                        mn__gguf_name(g), name, ggml_type_name(t->type), t->ne[0], t->ne[1],
                        t->ne[2], t->ne[3]);
    *out = t;
    return MN_OK;
}

/* A copy of exactly n numbers. */
static mn_status read_floats(float **out, const mn__gguf *g, const char *name, size_t n,
                             mn_diag *diag)
{
    mn_status st;
    const mn__gguf_tensor *t = NULL;
    MN_TRY(find_floats(g, name, &t, diag));
    if ((size_t)t->ne[0] != n)
        return mn__fail(diag, MN_EINPUT, "%s: %s: %zu numbers wanted, %" PRId64 " found",
                        mn__gguf_name(g), name, n, t->ne[0]);
    *out = mn__alloc_array(MN_MEM_POLICY, n, sizeof **out);
    if (!*out) return mn__fail(diag, MN_ENOMEM, "%s: out of memory for %s", mn__gguf_name(g), name);
    memcpy(*out, t->data, n * sizeof **out);
done:
    return st;
}

/* The inputs are as many as there are means; shape and number of parameters follow. */
static mn_status read_tensors(mn__namm *m, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const mn__gguf_tensor *mean = NULL;
    MN_TRY(find_floats(g, "namm.mean", &mean, diag));
    m->net.n_in = (size_t)mean->ne[0];
    st = mn__namm_net_check(&m->net, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__gguf_name(g));
        goto done;
    }
    MN_TRY(read_floats(&m->mean, g, "namm.mean", m->net.n_in, diag));
    MN_TRY(read_floats(&m->deviation, g, "namm.deviation", m->net.n_in, diag));
    MN_TRY(read_floats(&m->param, g, "namm.params", mn__namm_net_params(&m->net), diag));
done:
    return st;
}

static bool is_note(const char *key)
{
    return strncmp(key, NOTE, sizeof NOTE - 1) == 0;
}

static mn_status read_texts(mn__namm *m, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const char *text = "";
    size_t n_note = 0;
    MN_TRY(mn__gguf_get_str(g, "namm.policy_options", "", &text, diag));
    m->options = mn__strdup(text);
    for (size_t i = 0; i < mn__gguf_n_key(g); i++) n_note += is_note(mn__gguf_key_name(g, i));
    m->note = mn__alloc_zero(MN_MEM_POLICY, n_note * sizeof *m->note);
    if (!m->options || !m->note) goto memory;
    for (size_t i = 0; i < mn__gguf_n_key(g); i++) {
        const char *key = mn__gguf_key_name(g, i);
        if (!is_note(key)) continue;
        MN_TRY(mn__gguf_need_str(g, key, &text, diag));
        mn__namm_note *note = &m->note[m->n_note++];
        note->key = mn__strdup(key + sizeof NOTE - 1);
        note->value = mn__strdup(text);
        if (!note->key || !note->value) goto memory;
    }
done:
    return st;
memory:
    return mn__fail(diag, MN_ENOMEM, "%s: out of memory for its texts", mn__gguf_name(g));
}

mn_status mn__namm_parse(mn__namm **out, const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    mn__namm *m = mn__alloc_zero(MN_MEM_POLICY, sizeof *m);
    *out = NULL;
    if (!m) return mn__fail(diag, MN_ENOMEM, "%s: out of memory", mn__gguf_name(g));
    MN_TRY(read_kind(g, diag));
    MN_TRY(read_spectrum(m, g, diag));
    MN_TRY(read_groups(m, g, diag));
    MN_TRY(read_head(&m->net, g, diag));
    MN_TRY(read_tensors(m, g, diag));
    MN_TRY(read_texts(m, g, diag));
    st = check(m, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__gguf_name(g));
        goto done;
    }
    m->hash = mn__gguf_hash(g);
    *out = m;
    m = NULL;
done:
    mn__namm_free(m);
    return st;
}

mn_status mn__namm_read(mn__namm **out, const char *path, mn_diag *diag)
{
    mn__gguf *g = NULL;
    *out = NULL;
    mn_status st = mn__gguf_open(&g, path, diag);
    if (st == MN_OK) st = mn__namm_parse(out, g, diag);
    mn__gguf_close(g);
    return st;
}

/* ---- notes ---- */

const char *mn__namm_get_note(const mn__namm *m, const char *key)
{
    for (size_t i = 0; i < m->n_note; i++)
        if (strcmp(m->note[i].key, key) == 0) return m->note[i].value;
    return NULL;
}

mn_status mn__namm_add_note(mn__namm *m, const char *key, const char *value)
{
    const mn__namm_note note = {.key = mn__strdup(key), .value = mn__strdup(value)};
    mn__namm_note *all = mn__alloc_array(MN_MEM_POLICY, m->n_note + 1, sizeof *all);
    if (!note.key || !note.value || !all) {
        mn__free(note.key);
        mn__free(note.value);
        mn__free(all);
        return MN_ENOMEM;
    }
    if (m->n_note) memcpy(all, m->note, m->n_note * sizeof *all);
    all[m->n_note++] = note;
    mn__free(m->note);
    m->note = all;
    return MN_OK;
}

void mn__namm_drop_notes(mn__namm *m)
{
    for (size_t i = 0; i < m->n_note; i++) {
        mn__free(m->note[i].key);
        mn__free(m->note[i].value);
    }
    mn__free(m->note);
    m->note = NULL;
    m->n_note = 0;
}

void mn__namm_free(mn__namm *m)
{
    if (!m) return;
    mn__namm_drop_notes(m);
    mn__free(m->options);
    mn__free(m->param);
    mn__free(m->mean);
    mn__free(m->deviation);
    mn__free(m);
}

/* ---- out ---- */

static void put_spectrum(mn__gguf_writer *w, const mn__namm *m)
{
    const char *group[MN__NAMM_INPUTS];
    mn__gguf_set_str(w, "general.architecture", "namm");
    mn__gguf_set_u32(w, "namm.version", VERSION);
    mn__gguf_set_u32(w, "namm.window", (uint32_t)m->spectrum.window);
    mn__gguf_set_u32(w, "namm.hop", (uint32_t)m->spectrum.hop);
    mn__gguf_set_f64(w, "namm.gamma", m->spectrum.gamma);
    mn__gguf_set_u32(w, "namm.update", (uint32_t)m->update);
    mn__gguf_set_u32(w, "namm.stride", (uint32_t)m->stride);
    mn__gguf_set_u32(w, "namm.age_dim", (uint32_t)m->age_dim);
    mn__gguf_set_f64(w, "namm.age_base", m->age_base);
    mn__gguf_set_bool(w, "namm.by_length", m->spectrum.by_length);
    mn__gguf_set_bool(w, "namm.log", m->spectrum.log);
    mn__gguf_set_bool(w, "namm.corrected", m->spectrum.corrected);
    for (size_t i = 0; i < m->n_group; i++) group[i] = m->group[i];
    mn__gguf_set_strs(w, "namm.inputs", group, m->n_group);
}

/* What the head has, and nothing else. */
static void put_head(mn__gguf_writer *w, const mn__namm_net *net)
{
    mn__gguf_set_str(w, "namm.head", heads[net->head]);
    if (net->head == MN__NAMM_LINEAR) return;
    if (net->head == MN__NAMM_MIX) {
        mn__gguf_set_u32(w, "namm.components", (uint32_t)net->n_part);
        return;
    }
    mn__gguf_set_bool(w, "namm.bias", net->bias);
    if (net->head == MN__NAMM_BAM) {
        mn__gguf_set_u32(w, "namm.hidden", (uint32_t)net->hidden);
        mn__gguf_set_u32(w, "namm.heads", (uint32_t)net->n_head);
        mn__gguf_set_bool(w, "namm.mult", net->mult);
        return;
    }
    mn__gguf_set_u32(w, "namm.depth", (uint32_t)net->depth);
    if (net->depth == 1) return;
    mn__gguf_set_u32(w, "namm.hidden", (uint32_t)net->hidden);
    mn__gguf_set_bool(w, "namm.residual", net->residual);
    mn__gguf_set_bool(w, "namm.residual_first", net->residual_first);
}

static void put_floats(mn__gguf_writer *w, const char *name, const float *x, size_t n)
{
    const int64_t ne[4] = {(int64_t)n, 1, 1, 1};
    mn__gguf_add_tensor(w, name, GGML_TYPE_F32, ne, &(mn__gguf_source){.bytes = x});
}

mn_status mn__namm_write(const mn__namm *m, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__gguf_writer *w = NULL;
    char key[sizeof NOTE + NOTE_KEY_MAX];
    st = check(m, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", path);
        goto done;
    }
    MN_TRY(mn__gguf_writer_new(&w, diag));
    put_spectrum(w, m);
    put_head(w, &m->net);
    mn__gguf_set_str(w, "namm.policy_options", m->options);
    for (size_t i = 0; i < m->n_note; i++) {
        snprintf(key, sizeof key, NOTE "%s", m->note[i].key);
        mn__gguf_set_str(w, key, m->note[i].value);
    }
    put_floats(w, "namm.params", m->param, mn__namm_net_params(&m->net));
    put_floats(w, "namm.mean", m->mean, m->net.n_in);
    put_floats(w, "namm.deviation", m->deviation, m->net.n_in);
    MN_TRY(mn__gguf_write(w, path, diag));
done:
    mn__gguf_writer_free(w);
    return st;
}
