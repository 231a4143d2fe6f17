/* describe.c: what is in a file (mneme/inspect.h), fact by fact, without a model. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "gguf/gguf_key.h"
#include "infer/describe.h"
#include "infer/state_file.h"

void mn__tell(const mn__teller *t, const char *section, const char *name, const char *fmt, ...)
{
    char value[4096], safe[256]; /* a NAMM's command and ancestors are long */
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(value, sizeof value, fmt, args) >= (int)sizeof value)
        memcpy(value + sizeof value - 4, "...", 4);
    va_end(args);
    snprintf(safe, sizeof safe, "%s", name);
    mn__make_printable(value, ' ');
    mn__make_printable(safe, ' ');
    t->fn(section, safe, value, t->ctx);
}

/* ---- models ---- */

static void tell_tensor(const mn__teller *t, const mn__gguf_tensor *x)
{
    char shape[96];
    size_t at = 0, n_dim = 4;
    while (n_dim > 1 && x->ne[n_dim - 1] == 1) n_dim--;
    for (size_t i = 0; i < n_dim; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", i ? ", " : "",
                               (long long)x->ne[i]);
    mn__tell(t, "tensor", x->name, "%s [%s], %zu bytes", ggml_type_name(x->type), shape,
             x->n_bytes);
}

/* A text that fills its buffer was cut, perhaps inside a character: that one goes. */
static void end_whole(char *text, size_t size)
{
    size_t n = strlen(text);
    if (n + 1 < size) return;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80) n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xc0) n--;
    text[n] = '\0';
}

static void tell_model(const mn__gguf *g, const mn__teller *t)
{
    char text[512];
    mn__tell(t, "file", "format", "GGUF");
    mn__tell(t, "file", "bytes", "%zu", mn__gguf_size(g));
    mn__tell(t, "file", "keys", "%zu", mn__gguf_n_key(g));
    mn__tell(t, "file", "tensors", "%zu", mn__gguf_n_tensor(g));
    for (size_t i = 0; i < mn__gguf_n_key(g); i++) {
        mn__gguf_key_text(g, i, text, sizeof text);
        end_whole(text, sizeof text);
        mn__tell(t, "key", mn__gguf_key_name(g, i), "%s", text);
    }
    for (size_t i = 0; i < mn__gguf_n_tensor(g); i++) tell_tensor(t, mn__gguf_get_tensor(g, i));
}

static bool is_namm(const mn__gguf *g)
{
    const char *architecture = "";
    return mn__gguf_get_str(g, "general.architecture", "", &architecture, NULL) == MN_OK &&
           strcmp(architecture, "namm") == 0;
}

static mn_status describe_gguf(const char *path, const mn__teller *t, mn_diag *diag)
{
    mn__gguf *g = NULL;
    mn_status st = mn__gguf_open(&g, path, diag);
    if (st == MN_OK && is_namm(g))
        st = mn__describe_namm(g, t, diag);
    else if (st == MN_OK)
        tell_model(g, t);
    mn__gguf_close(g);
    return st;
}

/* ---- sessions ---- */

static void tell_head(const mn__teller *t, const mn__state_reader *r)
{
    const mn__state_head *h = &r->head;
    mn__tell(t, "file", "format", "mneme session, version %u", h->version);
    mn__tell(t, "file", "bytes", "%llu", (unsigned long long)h->file_bytes);
    mn__tell(t, "file", "model", "%s", r->text.name);
    mn__tell(t, "file", "model hash", "%016llx", (unsigned long long)h->model_hash);
    mn__tell(t, "file", "shape", "%u layers, %u heads, %u KV heads, head size %u", h->n_layer,
             h->n_head, h->n_kv_head, h->head_dim);
    mn__tell(t, "file", "policy", "%s", r->text.policy);
    mn__tell(t, "file", "budget", "%s", *r->text.budget ? r->text.budget : "none");
    mn__tell(t, "file", "cache type", "%s", mn__state_kv_name(h->kv_type));
    mn__tell(t, "file", "positions", "%s", h->compact ? "compact" : "absolute");
    mn__tell(t, "file", "context", "%llu", (unsigned long long)h->n_ctx);
    mn__tell(t, "file", "chunk", "%llu", (unsigned long long)h->chunk);
    mn__tell(t, "file", "seed", "%llu", (unsigned long long)h->seed);
    mn__tell(t, "file", "tokens seen", "%lld", (long long)h->n_seen);
    mn__tell(t, "file", "prompt tokens", "%lld", (long long)h->n_prompt);
    mn__tell(t, "file", "peak cache bytes", "%llu", (unsigned long long)h->kv_peak_bytes);
    mn__tell(t, "file", "NaN scores", "%llu", (unsigned long long)h->n_nan);
    for (uint32_t i = 0; i < h->n_pin; i++) {
        char name[32];
        snprintf(name, sizeof name, "pinned %u", i);
        mn__tell(t, "file", name, "[%lld, %lld)", (long long)r->pin[i].begin,
                 (long long)r->pin[i].end);
    }
}

static mn_status check_head(const mn__state_reader *r)
{
    const mn__state_head *h = &r->head;
    if (h->n_layer && h->n_kv_head && h->n_head && h->head_dim && h->kv_type <= MN_KV_Q8 &&
        h->compact <= 1)
        return MN_OK;
    return mn__fail(r->diag, MN_EINPUT, "%s: not a shape that a cache can have", r->path);
}

static mn__cache_shape shape_of(const mn__state_head *h)
{
    return (mn__cache_shape){.n_layer = h->n_layer,
                             .n_head = h->n_head,
                             .n_kv_head = h->n_kv_head,
                             .head_dim = h->head_dim,
                             .kv_type = (mn__kv_type)h->kv_type,
                             .compact = h->compact,
                             .slot_bytes = (size_t)h->slot_bytes,
                             .lane_bytes = (size_t)h->lane_bytes,
                             .n_query_ring = (size_t)h->n_query_ring};
}

/* Every lane takes bytes, so a file cannot make this walk longer than it is. */
static mn_status tell_lanes(const mn__teller *t, mn__state_reader *r)
{
    mn_status st = MN_OK;
    char name[64];
    const mn__cache_shape shape = shape_of(&r->head);
    size_t bytes;
    uint64_t n_slot = 0;
    for (size_t i = 0; i < shape.n_layer * shape.n_kv_head; i++) {
        mn__lane_head head;
        snprintf(name, sizeof name, "layer %zu head %zu", i / shape.n_kv_head, i % shape.n_kv_head);
        MN_TRY(mn__state_get(r, &head, sizeof head));
        if (!mn__lane_state_bytes(&shape, &head, &bytes) || bytes > r->left)
            MN_TRY(mn__fail(r->diag, MN_EINPUT, "%s: %s claims more bytes than the file has",
                            r->path, name));
        MN_TRY(mn__state_skip(r, bytes));
        n_slot += head.n;
        mn__tell(t, "lane", name, "%llu tokens, %zu bytes", (unsigned long long)head.n, bytes);
    }
    const uint64_t n_query = (uint64_t)r->head.n_seen - (uint64_t)r->head.query_begin;
    if (n_query > shape.n_query_ring || !mn__query_bytes(&shape, (size_t)n_query, &bytes) ||
        bytes > r->left)
        MN_TRY(mn__fail(r->diag, MN_EINPUT, "%s: its queries claim more bytes than the file has",
                        r->path));
    MN_TRY(mn__state_skip(r, bytes));
    if (n_slot == 0 && r->head.n_seen > 0) { /* attention carries a state instead of lanes */
        mn__tell(t, "file", "attention state bytes", "%llu", (unsigned long long)r->left);
        MN_TRY(mn__state_skip(r, r->left));
    }
    MN_TRY(mn__state_end(r));
done:
    return st;
}

static mn_status describe_session(const char *path, const mn__teller *t, mn_diag *diag)
{
    mn__state_reader r;
    mn_status st = mn__state_open(&r, path, diag);
    if (st != MN_OK) return st;
    MN_TRY(check_head(&r));
    tell_head(t, &r);
    MN_TRY(tell_lanes(t, &r));
done:
    mn__state_close(&r);
    return st;
}

/* ---- which ---- */

static mn_status read_magic(const char *path, char magic[8], size_t *n, mn_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, magic, 8);
    int reason = errno;
    if (fd >= 0) close(fd);
    if (got < 0)
        return mn__fail(diag, reason == EISDIR ? MN_EINPUT : MN_EIO, "%s: cannot read: %s", path,
                        strerror(reason));
    *n = (size_t)got;
    return MN_OK;
}

mn_status mn_file_describe(const char *path, mn_describe_fn fn, void *ctx, mn_diag *diag)
{
    char magic[8];
    size_t n = 0;
    const mn__teller t = {fn, ctx};
    mn_status st = read_magic(path, magic, &n, diag);
    if (st != MN_OK) return st;
    if (n >= 4 && memcmp(magic, "GGUF", 4) == 0) return describe_gguf(path, &t, diag);
    if (mn__state_is_magic(magic, n)) return describe_session(path, &t, diag);
    return mn__fail(diag, MN_EINPUT, "%s: neither a GGUF model nor a session file", path);
}
