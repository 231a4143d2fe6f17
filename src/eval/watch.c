/* watch.c: a reading that is watched: made, read, written on, and read again. */
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/page.h"
#include "eval/report.h"
#include "eval/watch_internal.h"
#include "model/model.h"

void mn_watch_params_default(mn_watch_params *p)
{
    *p = (mn_watch_params){.chart_js = MN_CHART_JS, .d3_js = MN_D3_JS};
    mn_session_params_default(&p->session);
}

/* ---- life ---- */

static mn_status no_memory(mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "no memory to watch a reading");
}

/* Hours of reading should not end at a page that cannot be written. */
static mn_status check_page(const mn_watch_params *p, mn_diag *diag)
{
    mn__atomic file = {0};
    mn_status st = MN_OK;
    if (!p->page) return MN_OK;
    MN_TRY(mn__page_find_library(p->chart_js, "libjs-chart.js", diag));
    MN_TRY(mn__page_find_library(p->d3_js, "libjs-d3", diag));
    st = mn__atomic_open(&file, p->page, diag);
    mn__atomic_abort(&file);
done:
    return st;
}

static mn_status check(const mn_watch_params *p, mn_diag *diag)
{
    if (p->no_attention && (p->n_series || p->page))
        return mn__fail(diag, MN_EUSAGE, "a page and series want attention to be recorded");
    if (p->max_token < 1) return mn__fail(diag, MN_EUSAGE, "nothing to watch: no tokens");
    if (p->n_series > MN_WATCH_SERIES_MAX)
        return mn__fail(diag, MN_EUSAGE,
                        "the attention of at most %d tokens is recorded, %zu asked for",
                        MN_WATCH_SERIES_MAX, p->n_series);
    for (size_t i = 0; i < p->n_series; i++)
        if (p->series[i] >= p->max_token)
            return mn__fail(diag, MN_EUSAGE, "token %zu is beyond a text of %zu tokens",
                            p->series[i], p->max_token);
    return check_page(p, diag);
}

static mn_status make_lanes(mn_watch *w, mn_diag *diag)
{
    const mn_model_info *info = &w->info;
    w->at_full = mn__alloc_array(MN_MEM_OTHER, info->n_layer, sizeof *w->at_full);
    w->full = mn__alloc_array(MN_MEM_OTHER, info->n_layer, sizeof *w->full);
    w->token = mn__alloc_array(MN_MEM_OTHER, w->max_token, sizeof *w->token);
    if (!w->at_full || !w->full || !w->token) return no_memory(diag);
    for (size_t l = 0; l < info->n_layer; l++) {
        w->at_full[l] = w->n_full;
        if (!info->window[l]) w->full[w->n_full++] = (uint32_t)l;
    }
    size_t n_lane = w->n_full * info->n_kv_head;
    w->lane = mn__alloc_zero(MN_MEM_OTHER, n_lane * sizeof *w->lane);
    if (!w->lane) return no_memory(diag);
    for (w->n_lane = 0; w->n_lane < n_lane; w->n_lane++) {
        mn__watch_lane *l = &w->lane[w->n_lane];
        size_t bytes;
        if (!mn__mul_size(w->max_token, sizeof(float), &bytes)) return no_memory(diag);
        l->gone = mn__alloc_zero(MN_MEM_OTHER, bytes / 2);
        if (!w->no_attention) l->drawn = mn__alloc_zero(MN_MEM_OTHER, bytes);
        if (!l->gone || (!l->drawn && !w->no_attention)) {
            w->n_lane++;
            return no_memory(diag);
        }
    }
    return MN_OK;
}

mn_status mn__watch_add_series(mn_watch *w, size_t token, const char *reason, mn_diag *diag)
{
    mn__watched *t = &w->watched[w->n_watched++];
    *t = (mn__watched){.token = token, .reason = reason};
    t->series = mn__alloc_zero(MN_MEM_OTHER, w->n_lane * sizeof *t->series);
    if (!t->series) return no_memory(diag);
    for (size_t l = 0; l < w->n_lane; l++)
        if (!mn__series_init(&t->series[l], token, w->max_token)) return no_memory(diag);
    return MN_OK;
}

void mn__watch_drop_series(mn_watch *w)
{
    for (; w->n_watched; w->n_watched--) {
        mn__watched *t = &w->watched[w->n_watched - 1];
        for (size_t l = 0; t->series && l < w->n_lane; l++) mn__series_fini(&t->series[l]);
        mn__free(t->series);
    }
}

mn_status mn_watch_new(mn_watch **out, const mn_model *m, const mn_watch_params *params,
                       mn_diag *diag)
{
    mn_status st;
    mn_session_params sp = params->session;
    mn_watch *w = NULL;
    *out = NULL;
    sp.also = NULL;
    sp.n_also = 0;
    MN_TRY(check(params, diag));
    if (mn__model_state_bytes(m, 1))
        MN_TRY(mn__fail(diag, MN_EUSAGE, "nothing to watch: attention of %s keeps no tokens",
                        m->name));
    w = mn__alloc_zero(MN_MEM_OTHER, sizeof *w);
    if (!w) MN_TRY(no_memory(diag));
    w->m = m;
    mn_model_get_info(m, &w->info);
    w->page = params->page;
    w->model = params->model ? params->model : w->info.name;
    w->chart_js = params->chart_js;
    w->d3_js = params->d3_js;
    w->max_token = params->max_token;
    w->no_attention = params->no_attention;
    MN_TRY(mn_session_new(&w->s, m, &sp, diag));
    MN_TRY(make_lanes(w, diag));
    for (size_t i = 0; i < params->n_series; i++)
        MN_TRY(mn__watch_add_series(w, params->series[i], "asked for", diag));
    mn__watch_look(w);
    *out = w;
    w = NULL;
done:
    mn_watch_free(w);
    return st;
}

void mn_watch_free(mn_watch *w)
{
    if (!w) return;
    mn__watch_drop_series(w);
    for (size_t l = 0; l < w->n_lane; l++) {
        mn__free(w->lane[l].gone);
        mn__free(w->lane[l].drawn);
        mn__free(w->lane[l].score);
        mn__free(w->lane[l].fate);
    }
    mn__free(w->lane);
    mn__free(w->event);
    mn__free(w->full);
    mn__free(w->at_full);
    mn__free(w->token);
    mn_session_free(w->s);
    mn__free(w);
}

const mn_session *mn_watch_get_session(const mn_watch *w)
{
    return w->s;
}

/* ---- reading ---- */

static mn_status room_for(const mn_watch *w, size_t n, mn_diag *diag)
{
    return n <= w->max_token - w->n_token
               ? MN_OK
               : mn__fail(diag, MN_ERANGE, "at most %zu tokens are watched, %zu were given",
                          w->max_token, w->n_token + n);
}

/* Records are made where none can fail: lack of memory is told afterwards. */
static mn_status recorded(const mn_watch *w, mn_diag *diag)
{
    bool lacking = w->no_memory;
    for (size_t l = 0; l < w->n_lane; l++) lacking |= w->lane[l].no_memory;
    return lacking ? no_memory(diag) : MN_OK;
}

mn_status mn_watch_read(mn_watch *w, const int32_t *token, size_t n, const float **logits,
                        mn_progress_fn progress, void *progress_ctx, mn_diag *diag)
{
    mn_status st;
    if (w->n_token) return mn__fail(diag, MN_EUSAGE, "a watch reads one text");
    MN_TRY(room_for(w, n, diag));
    MN_TRY(mn_session_read(w->s, token, n, true, logits, progress, progress_ctx, diag));
    memcpy(w->token, token, n * sizeof *token);
    w->n_token = w->n_prompt = n;
    MN_TRY(recorded(w, diag));
done:
    return st;
}

mn_status mn_watch_step(mn_watch *w, int32_t token, const float **logits, mn_diag *diag)
{
    mn_status st;
    MN_TRY(room_for(w, 1, diag));
    MN_TRY(mn_session_step(w->s, token, logits, diag));
    w->token[w->n_token++] = token;
    MN_TRY(recorded(w, diag));
done:
    return st;
}

/* ---- again ---- */

/* The text has n_token tokens; the first one is left to the reason it is famous for. */
static size_t most_drawn(const mn_watch *w, size_t holders_most)
{
    size_t best = w->n_token;
    double most = -1;
    for (size_t t = 0; t < w->n_token; t++) {
        if (mn__watch_holders(w, t) > holders_most) continue;
        double drawn = mn__watch_drawn(w, t);
        if (drawn > most) {
            most = drawn;
            best = t;
        }
    }
    return best;
}

static size_t middle_survivor(const mn_watch *w, size_t apart_from)
{
    size_t best = w->n_token, held = 0, middle = w->n_token / 2;
    for (size_t t = w->n_token / 3; t < w->n_token - w->n_token / 3; t++) {
        size_t n = t == apart_from ? 0 : mn__watch_holders(w, t),
               gap = t < middle ? middle - t : t - middle,
               best_gap = best < middle ? middle - best : best - middle;
        if (n > held || (n && n == held && gap < best_gap)) {
            held = n;
            best = t;
        }
    }
    return best;
}

static size_t fewest_holders(const mn_watch *w)
{
    size_t fewest = w->n_lane;
    for (size_t t = 0; t < w->n_token; t++) {
        size_t n = mn__watch_holders(w, t);
        if (n < fewest) fewest = n;
    }
    return fewest;
}

static mn_status choose(mn_watch *w, mn_diag *diag)
{
    size_t first = most_drawn(w, w->n_lane), second = middle_survivor(w, first),
           fewest = fewest_holders(w);
    mn_status st = mn__watch_add_series(w, first, "drew the most attention", diag);
    if (st == MN_OK && second < w->n_token)
        st = mn__watch_add_series(w, second, "in the middle, held by the most heads", diag);
    if (st == MN_OK && fewest < w->n_lane) {
        size_t third = most_drawn(w, fewest);
        st = mn__watch_add_series(
            w, third,
            fewest ? "held by the fewest heads, of these it drew the most attention"
                   : "held by no head, of these it drew the most attention",
            diag);
    }
    return st;
}

static mn_status read_again(mn_watch *w, mn_progress_fn progress, void *progress_ctx, mn_diag *diag)
{
    const float *logits;
    mn_status st;
    mn_session_clear(w->s);
    w->again = true;
    mn__watch_look(w);
    MN_TRY(mn_session_read(w->s, w->token, w->n_prompt, true, NULL, progress, progress_ctx, diag));
    for (size_t i = w->n_prompt; i < w->n_token; i++)
        MN_TRY(mn_session_step(w->s, w->token[i], &logits, diag));
done:
    return st;
}

mn_status mn_watch_again(mn_watch *w, mn_progress_fn progress, void *progress_ctx, mn_diag *diag)
{
    if (w->n_watched || !w->n_token || !w->n_lane || w->no_attention) return MN_OK;
    mn_status st = choose(w, diag);
    if (st == MN_OK) st = read_again(w, progress, progress_ctx, diag);
    if (st != MN_OK) mn__watch_drop_series(w);
    return st;
}
