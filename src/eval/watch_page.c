/* watch_page.c: the page of src/eval/watch/ with a reading in it. Figures come as JSON; what grows
 * with the text comes packed, in base64:
 *   text     bytes of the tokens, one behind the other
 *   sizes    a varint a token: its bytes
 *   kinds    a byte a token
 *   drawn    a byte a token: the attention it drew, in steps of a logarithm (level)
 *   gone     lane by lane, runs of tokens of the same fate: varint (length - 1) * (events + 1) +
 *            fate; 0: held to the end, else 1 + the event at which they were dropped
 *   series   a watched token, lane by lane: four varints (columns, queries a column, the
 *            spectrogram's columns, frames a column), levels of both */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/page.h"
#include "eval/base64.h"
#include "eval/report.h"
#include "eval/watch_internal.h"
#include "watch_parts.inc" /* written by cmake/embed.cmake: part_page_html[], ... */

typedef struct page {
    const mn_watch *w;
    const mn__watch_text *text;
    const json_t *doc;
} page;

/* ---- packed ---- */

/* 0: nothing; else 1 to 255 between 2^lo and 2^hi. As page.js reads it. */
static uint8_t level(double x, double lo, double hi)
{
    if (!(x > 0)) return 0;
    double at = 1 + 254 * (log2(x) - lo) / (hi - lo);
    return (uint8_t)(at < 1 ? 1 : at > 255 ? 255 : lround(at));
}
enum { SHARE_LO = -20, SHARE_HI = 0, DRAWN_LO = -10, DRAWN_HI = 20, STFT_LO = -16, STFT_HI = 4 };

static void put_text(mn__base64 *b, const page *p)
{
    mn__base64_put(b, p->text->data, p->text->at[p->text->n]);
}

static void put_sizes(mn__base64 *b, const page *p)
{
    for (size_t t = 0; t < p->text->n; t++)
        mn__base64_put_varint(b, p->text->at[t + 1] - p->text->at[t]);
}

static void put_kinds(mn__base64 *b, const page *p)
{
    mn__base64_put(b, p->text->kind, p->text->n);
}

static void put_drawn(mn__base64 *b, const page *p)
{
    for (size_t t = 0; t < p->text->n; t++) {
        uint8_t x = level(mn__watch_drawn(p->w, t), DRAWN_LO, DRAWN_HI);
        mn__base64_put(b, &x, 1);
    }
}

static void put_gone(mn__base64 *b, const page *p)
{
    const mn_watch *w = p->w;
    for (size_t l = 0; l < w->n_lane; l++) {
        const uint16_t *gone = w->lane[l].gone;
        for (size_t t = 0, end; t < w->n_token; t = end) {
            for (end = t + 1; end < w->n_token && gone[end] == gone[t];) end++;
            mn__base64_put_varint(b, (end - t - 1) * (w->n_event + 1) + gone[t]);
        }
    }
}

static void put_levels(mn__base64 *b, const float *x, size_t n, double lo, double hi)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t y = level((double)x[i], lo, hi);
        mn__base64_put(b, &y, 1);
    }
}

static void put_series(mn__base64 *b, const page *p)
{
    for (size_t i = 0; i < p->w->n_watched; i++)
        for (size_t l = 0; l < p->w->n_lane; l++) {
            const mn__series *s = &p->w->watched[i].series[l];
            mn__base64_put_varint(b, s->n_peak);
            mn__base64_put_varint(b, s->peak_step);
            mn__base64_put_varint(b, s->n_frame);
            mn__base64_put_varint(b, s->frame_step);
            put_levels(b, s->peak, s->n_peak, SHARE_LO, SHARE_HI);
            put_levels(b, s->frame, s->n_frame * MN__STFT_BINS, STFT_LO, STFT_HI);
        }
}

static void put_packed(FILE *to, const page *p)
{
    static const struct {
        const char *name;
        void (*put)(mn__base64 *b, const page *p);
    } member[] = {{"text", put_text},   {"sizes", put_sizes}, {"kinds", put_kinds},
                  {"drawn", put_drawn}, {"gone", put_gone},   {"series", put_series}};
    fputc('{', to);
    for (size_t i = 0; i < sizeof member / sizeof *member; i++) {
        mn__base64 b = {.to = to};
        fprintf(to, "\"%s\":\"", member[i].name);
        member[i].put(&b, p);
        mn__base64_flush(&b);
        fputs("\",\n", to);
    }
    fprintf(to, "\"levels\":{\"share\":[%d,%d],\"drawn\":[%d,%d],\"stft\":[%d,%d]}}", SHARE_LO,
            SHARE_HI, DRAWN_LO, DRAWN_HI, STFT_LO, STFT_HI);
}

/* ---- the page ---- */

static bool is(const char *name, size_t n, const char *part)
{
    return strlen(part) == n && !memcmp(name, part, n);
}

static mn_status put_part(FILE *to, const char *name, size_t n, const void *ctx, mn_diag *diag)
{
    const page *p = ctx;
    if (is(name, n, "style"))
        fwrite(part_page_css, 1, sizeof part_page_css, to);
    else if (is(name, n, "script"))
        fwrite(part_page_js, 1, sizeof part_page_js, to);
    else if (is(name, n, "title"))
        mn__page_put_escaped(to, p->w->model);
    else if (is(name, n, "packed"))
        put_packed(to, p);
    else if (is(name, n, "chart"))
        return mn__page_put_library(to, p->w->chart_js, diag);
    else if (is(name, n, "d3"))
        return mn__page_put_library(to, p->w->d3_js, diag);
    else if (!mn__page_put_json(to, p->doc))
        return mn__fail(diag, MN_ENOMEM, "no memory for the page");
    return MN_OK;
}

mn_status mn_watch_write_page(const mn_watch *w, mn_diag *diag)
{
    mn_status st;
    mn__atomic file = {0};
    mn__watch_text text = {0};
    page p = {.w = w, .text = &text};
    const mn__page template = {part_page_html, sizeof part_page_html, put_part, &p};
    json_t *doc = NULL;
    if (!w->page) return mn__fail(diag, MN_EUSAGE, "no page was asked for");
    MN_TRY(mn__watch_text_make(&text, w->m, w->token, w->n_token, diag));
    doc = mn__watch_document(w, &text, diag);
    if (!doc) MN_TRY(MN_ENOMEM);
    p.doc = doc;
    MN_TRY(mn__atomic_open(&file, w->page, diag));
    MN_TRY(mn__page_write(file.file, &template, diag));
    MN_TRY(mn__atomic_commit(&file, diag));
done:
    mn__atomic_abort(&file);
    json_decref(doc);
    mn__watch_text_free(&text);
    return st;
}
