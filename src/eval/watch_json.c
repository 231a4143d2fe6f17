/* watch_json.c: all figures of a watch as one document, for people's scripts and for the page. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/report.h"
#include "eval/watch_internal.h"

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* ---- layers and kinds ---- */

static json_t *lifts(const mn__watch_layer *x)
{
    json_t *out = json_object();
    for (size_t k = 0; k < MN__KIND_COUNT; k++)
        if (!isnan(x->lift[k]))
            json_object_set_new(out, mn__token_kind_name[k], mn__report_real(x->lift[k]));
    return out;
}

json_t *mn__watch_figures_json(const mn__watch_layer *x)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "kept", mn__report_real(x->kept), "share",
                     mn__report_real(x->share), "age", mn__report_real(x->age), "last_tenth",
                     mn__report_real(x->last_tenth), "heads_overlap", mn__report_real(x->heads),
                     "heads_overlap_chance", mn__report_real(x->chance), "next_overlap",
                     mn__report_real(x->next), "lift", lifts(x));
}

static json_t *layer(const mn_watch *w, size_t i, const mn__watch_layer *x)
{
    json_t *out = json_pack("{s:o,s:[]}", "layer", count(x->layer), "heads"),
           *all = mn__watch_figures_json(x);
    json_t *heads = json_object_get(out, "heads");
    for (size_t h = 0; h < w->info.n_kv_head; h++) {
        size_t held = 0;
        for (size_t t = 0; t < w->n_token; t++)
            held += mn__watch_holds(w, i * w->info.n_kv_head + h, t);
        json_array_append_new(heads, count(held));
    }
    json_object_update(out, all);
    json_decref(all);
    return out;
}

static json_t *kinds(const mn_watch *w, const mn__watch_text *text, const mn__watch_layer *all)
{
    json_t *out = json_array();
    size_t n[MN__KIND_COUNT] = {0};
    for (size_t t = 0; t < w->n_token; t++) n[text->kind[t]]++;
    for (size_t k = 0; k < MN__KIND_COUNT; k++)
        if (n[k])
            json_array_append_new(
                out,
                json_pack("{s:s,s:o,s:o,s:o,s:o}", "kind", mn__token_kind_name[k], "tokens",
                          count(n[k]), "share", mn__report_real((double)n[k] / (double)w->n_token),
                          "kept_share", mn__report_real(all->lift[k] * all->share), "lift",
                          mn__report_real(all->lift[k])));
    return out;
}

/* ---- events ---- */

/* Tokens held after each event, mean over lanes. */
static mn_status put_events(json_t *doc, const mn_watch *w, mn_diag *diag)
{
    static const char *const when[] = {"prompt end", "reading", "writing"};
    json_t *out = json_array();
    uint64_t *dropped = mn__alloc_zero(MN_MEM_OTHER, (w->n_event + 1) * sizeof *dropped), gone = 0;
    if (!dropped) {
        json_decref(out);
        return mn__fail(diag, MN_ENOMEM, "no memory for the events of a reading");
    }
    for (size_t l = 0; l < w->n_lane; l++)
        for (size_t t = 0; t < w->n_token; t++)
            if (w->lane[l].gone[t]) dropped[w->lane[l].gone[t] - 1]++;
    for (size_t e = 0; e < w->n_event; e++) {
        const mn_watch_event *x = &w->event[e];
        gone += dropped[e];
        json_array_append_new(out, json_pack("{s:I,s:s,s:f}", "tokens_seen", (json_int_t)x->n_seen,
                                             "when", when[x->when], "kept",
                                             (double)x->n_seen - (double)gone / (double)w->n_lane));
    }
    mn__free(dropped);
    json_object_set_new(doc, "events", out);
    return MN_OK;
}

/* ---- scores, tokens ---- */

static json_t *bins(const uint32_t *n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < MN__SCORE_BINS; i++) json_array_append_new(out, count(n[i]));
    return out;
}

static uint64_t seen_at(const mn_watch *w, uint64_t event)
{
    return (uint64_t)w->event[event < w->n_event ? event : w->n_event - 1].n_seen;
}

static mn_status put_scores(json_t *doc, const mn_watch *w, mn_diag *diag)
{
    mn_status st = MN_OK;
    json_t *out = json_array();
    for (size_t i = 0; i < w->n_full && st == MN_OK; i++) {
        mn__score_bins b;
        st = mn__watch_scores(w, i, &b, diag);
        if (st != MN_OK || !b.any) continue;
        json_array_append_new(
            out,
            json_pack("{s:I,s:o,s:b,s:f,s:f,s:o,s:o,s:o,s:o,s:o}", "layer", (json_int_t)w->full[i],
                      "tokens_seen", count(seen_at(w, b.event)), "log", b.log, "lo", b.lo, "hi",
                      b.hi, "kept", bins(b.count[MN__FATE_KEPT]), "dropped",
                      bins(b.count[MN__FATE_DROPPED]), "protected",
                      bins(b.count[MN__FATE_PROTECTED]), "infinite", count(b.n_infinite),
                      "threshold", b.has_threshold ? mn__report_real(b.threshold) : json_null()));
    }
    json_object_set_new(doc, "scores", out);
    return st;
}

static json_t *watched(const mn_watch *w, const mn__watch_text *text)
{
    json_t *out = json_array();
    for (size_t i = 0; i < w->n_watched; i++) {
        const mn__watched *x = &w->watched[i];
        char buf[128] = "";
        if (x->token >= w->n_token) continue; /* the text ended before it */
        size_t n = text->at[x->token + 1] - text->at[x->token];
        memcpy(buf, text->data + text->at[x->token], n < sizeof buf ? n : sizeof buf - 1);
        json_array_append_new(
            out, json_pack("{s:o,s:o,s:s,s:o,s:o}", "token", count(x->token), "text",
                           mn__report_text(buf, 0), "reason", x->reason, "heads_holding",
                           count(mn__watch_holders(w, x->token)), "attention",
                           mn__report_real(mn__watch_drawn(w, x->token) / (double)w->n_token)));
    }
    return out;
}

/* ---- the document ---- */

static json_t *head(const mn_watch *w)
{
    mn_session_info si;
    mn_session_get_info(w->s, &si);
    json_t *out = json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version", 1, "model",
                            mn__report_text(w->model, 0), "policy", mn__report_text(si.policy, 0),
                            "tokens", count(w->n_token), "prompt_tokens", count(w->n_prompt),
                            "generated_tokens", count(w->n_token - w->n_prompt), "kept_share",
                            mn__report_real(si.kept_share), "nan_scores", count(si.n_nan_scores));
    json_t *kv = json_pack("{s:o,s:o,s:o,s:o}", "bytes", count(si.kv_bytes), "bytes_full",
                           count(si.kv_full_bytes), "bytes_peak", count(si.kv_peak_bytes),
                           "policy_bytes", count(si.policy_bytes));
    json_object_set_new(out, "kv", kv);
    return out;
}

json_t *mn__watch_document(const mn_watch *w, const mn__watch_text *text, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__watch_layer all, *layers = mn__alloc_array(MN_MEM_OTHER, w->n_full, sizeof *layers);
    json_t *doc = head(w), *list = json_array();
    if (!layers || !doc) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a document"));
    MN_TRY(mn__watch_sum(w, text, layers, &all, diag));
    for (size_t i = 0; i < w->n_full && w->n_token; i++)
        json_array_append_new(list, layer(w, i, &layers[i]));
    json_object_set(doc, "layers", list);
    json_object_set_new(doc, "all", mn__watch_figures_json(&all));
    json_object_set_new(doc, "kinds", kinds(w, text, &all));
    MN_TRY(put_events(doc, w, diag));
    MN_TRY(put_scores(doc, w, diag));
    json_object_set_new(doc, "watched", watched(w, text));
done:
    json_decref(list);
    mn__free(layers);
    if (st == MN_OK) return doc;
    json_decref(doc);
    return NULL;
}

mn_status mn_watch_json(const mn_watch *w, void (*put)(const char *text, size_t n, void *ctx),
                        void *ctx, mn_diag *diag)
{
    mn__watch_text text;
    mn_status st = mn__watch_text_make(&text, w->m, w->token, w->n_token, diag);
    if (st != MN_OK) return st;
    json_t *doc = mn__watch_document(w, &text, diag);
    st = doc ? mn__report_put(doc, put, ctx, diag) : MN_ENOMEM;
    json_decref(doc);
    mn__watch_text_free(&text);
    return st;
}
