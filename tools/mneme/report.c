/* report.c: nothing is dropped silently: per layer how many tokens are held, and which spans of the
 * text nobody holds any more. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"

void answer_add(answer *a, const char *piece, size_t n)
{
    if (a->n + n + 1 > a->cap) {
        size_t cap = 2 * (a->n + n + 1);
        char *text = realloc(a->text, cap);
        if (!text) return;
        a->text = text;
        a->cap = cap;
    }
    memcpy(a->text + a->n, piece, n);
    a->n += n;
    a->text[a->n] = 0;
}

void answer_free(answer *a)
{
    free(a->text);
}

/* ---- what is gone ---- */

spans report_dropped(const mn_session *s, const mn_model *m)
{
    spans out = {0};
    mn_session_info si;
    mn_model_info mi;
    mn_session_get_info(s, &si);
    mn_model_get_info(m, &mi);
    size_t n =
        si.state_bytes ? 0 : (size_t)si.n_seen; /* a state says of no token that it is gone */
    uint8_t *held = calloc(n + 1, 1);
    out.span = calloc(n / 2 + 1, sizeof *out.span);
    if (!held || !out.span) {
        free(held);
        return out;
    }
    for (size_t l = 0; l < mi.n_layer; l++)
        for (size_t h = 0; mi.window[l] == 0 && h < mi.n_kv_head; h++) {
            const int32_t *token;
            size_t k = mn_session_kept(s, l, h, &token);
            for (size_t i = 0; i < k; i++) held[token[i]] = 1;
        }
    for (size_t i = 0; i < n; i++) {
        if (held[i]) continue;
        if (!out.n || out.span[out.n - 1].end != (int64_t)i)
            out.span[out.n++] = (mn_pin){(int64_t)i, (int64_t)i};
        out.span[out.n - 1].end = (int64_t)i + 1;
        out.n_token++;
    }
    free(held);
    return out;
}

/* ---- JSON ---- */

static json_t *kept_json(const mn_model *m, const mn_session *s, bool positions)
{
    mn_model_info mi;
    json_t *layers = json_array();
    mn_model_get_info(m, &mi);
    for (size_t l = 0; l < mi.n_layer; l++) {
        json_t *kept = json_array();
        for (size_t h = 0; h < mi.n_kv_head; h++) {
            const int32_t *token;
            size_t n = mn_session_kept(s, l, h, &token);
            json_t *list = positions ? json_array() : NULL;
            for (size_t i = 0; positions && i < n; i++)
                json_array_append_new(list, json_integer(token[i]));
            json_array_append_new(kept, positions ? list : json_integer((json_int_t)n));
        }
        json_array_append_new(layers,
                              json_pack("{s:o,s:b}", "kept", kept, "window", mi.window[l] != 0));
    }
    return layers;
}

static json_t *memory_json(void)
{
    mn_mem_stats st;
    json_t *doc = json_object();
    mn_mem_get_stats(&st);
    for (int t = 0; t < MN_MEM_COUNT; t++)
        if (st.peak[t])
            json_object_set_new(doc, mn_mem_tag_name((mn_mem_tag)t),
                                json_pack("{s:I,s:I}", "now", (json_int_t)st.now[t], "peak",
                                          (json_int_t)st.peak[t]));
    return doc;
}

static double rate(size_t n, double s)
{
    return s > 0 ? (double)n / s : 0;
}

json_t *report_json(const mn_model *m, const mn_session *s, const answer *ans)
{
    mn_session_info si;
    mn_model_info mi;
    spans gone = report_dropped(s, m);
    json_t *dropped = json_array();
    mn_session_get_info(s, &si);
    mn_model_get_info(m, &mi);
    for (size_t i = 0; i < gone.n; i++)
        json_array_append_new(dropped, json_pack("[I,I]", (json_int_t)gone.span[i].begin,
                                                 (json_int_t)gone.span[i].end));
    free(gone.span);
    json_t *kv = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:o,s:o}", "bytes_full", (json_int_t)si.kv_full_bytes,
        "bytes", (json_int_t)si.kv_bytes, "bytes_peak", (json_int_t)si.kv_peak_bytes,
        "bytes_window", (json_int_t)si.kv_window_bytes, "state_bytes", (json_int_t)si.state_bytes,
        "policy_bytes", (json_int_t)si.policy_bytes, "kept_share", si.kept_share, "layers",
        kept_json(m, s, false), "dropped_spans", dropped);
    return json_pack("{s:s%,s:I,s:I,s:f,s:f,s:I,s:o,s:s,s:o,s:f,s:I,s:o,s:o}", "text",
                     ans->text ? ans->text : "", ans->n, "prompt_tokens", (json_int_t)ans->n_prompt,
                     "generated_tokens", (json_int_t)ans->n_generated, "prefill_tokens_per_s",
                     rate(ans->n_prompt, ans->read_s), "decode_tokens_per_s",
                     rate(ans->n_generated, ans->write_s), "peak_rss_bytes",
                     (json_int_t)mn_mem_resident_peak(), "model", ui_json_text(mi.name), "cpu",
                     mi.cpu, "policy", ui_json_text(si.policy), "evict_s", si.evict_s, "nan_scores",
                     (json_int_t)si.n_nan_scores, "kv", kv, "memory", memory_json());
}

mn_status report_dump_kept(const mn_session *s, const mn_model *m, const char *path, mn_diag *diag)
{
    mn__atomic f;
    mn_session_info si;
    mn_status st = mn__atomic_open(&f, path, diag);
    if (st != MN_OK) return st;
    mn_session_get_info(s, &si);
    json_t *doc = json_pack("{s:I,s:o,s:o}", "tokens_seen", (json_int_t)si.n_seen, "policy",
                            ui_json_text(si.policy), "layers", kept_json(m, s, true));
    int bad = json_dumpf(doc, f.file, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(doc);
    if (bad) {
        mn__atomic_abort(&f);
        return mn__fail(diag, MN_EIO, "%s: writing failed", path);
    }
    return mn__atomic_commit(&f, diag);
}

/* ---- text ---- */

/* "1024 x12 300": equal neighbours together; sliding windows left out. */
static void layer_range(const mn_model *m, const mn_session *s, char *buf, size_t cap)
{
    mn_model_info mi;
    mn_model_get_info(m, &mi);
    size_t at = 0, run = 0, last = 0;
    buf[0] = 0;
    for (size_t l = 0; l <= mi.n_layer && at + 48 < cap; l++) {
        size_t sum = 0;
        const int32_t *token;
        if (l < mi.n_layer && mi.window[l]) continue;
        for (size_t h = 0; l < mi.n_layer && h < mi.n_kv_head; h++)
            sum += mn_session_kept(s, l, h, &token);
        size_t mean = (sum + mi.n_kv_head / 2) / mi.n_kv_head;
        if (run && (l == mi.n_layer || mean != last)) {
            at += (size_t)snprintf(buf + at, cap - at, "%s%zu", at ? " " : "", last);
            if (run > 1) at += (size_t)snprintf(buf + at, cap - at, " x%zu", run);
            run = 0;
        }
        last = mean;
        run++;
    }
}

void report_nan(const args *a, const mn_session *s)
{
    mn_session_info si;
    mn_session_get_info(s, &si);
    if (si.n_nan_scores)
        ui_note(a, "warning: %llu scores of policy %s were no numbers: %s",
                (unsigned long long)si.n_nan_scores, si.policy, si.nan_rule);
}

void report_text(const args *a, const mn_model *m, const mn_session *s, const answer *ans)
{
    enum { SHOWN = 8 };
    mn_session_info si;
    char b1[32], b2[32], b3[32], b4[32], line[2048];
    spans gone = report_dropped(s, m);
    mn_session_get_info(s, &si);
    fprintf(stderr, "%s\n", ui_color(a, "dim"));
    fprintf(stderr, "read %zu tokens at %.0f/s, wrote %zu at %.1f/s, peak resident %s\n",
            ans->n_prompt, rate(ans->n_prompt, ans->read_s), ans->n_generated,
            rate(ans->n_generated, ans->write_s), ui_human((double)mn_mem_resident_peak(), b1));
    layer_range(m, s, line, sizeof line);
    if (si.state_bytes)
        fprintf(stderr, "attention carries a state of %s\n", ui_human((double)si.state_bytes, b1));
    else
        fprintf(stderr, "tokens held per layer (mean over heads): %s\n", line);
    if (gone.n_token) {
        fprintf(stderr, "gone everywhere: %zu tokens in %zu spans:", gone.n_token, gone.n);
        for (size_t i = 0; i < gone.n && i < SHOWN; i++)
            fprintf(stderr, " %lld-%lld", (long long)gone.span[i].begin,
                    (long long)gone.span[i].end - 1);
        fprintf(stderr, "%s\n", gone.n > SHOWN ? " ... (--json lists all)" : "");
    }
    fprintf(stderr,
            "policy %s: kept %.1f%% of %lld tokens, cache %s of %s (peak %s), policy state %s%s\n",
            si.policy, 100 * si.kept_share, (long long)si.n_seen, ui_human((double)si.kv_bytes, b1),
            ui_human((double)si.kv_full_bytes, b2), ui_human((double)si.kv_peak_bytes, b3),
            ui_human((double)si.policy_bytes, b4), ui_color(a, ""));
    free(gone.span);
}
