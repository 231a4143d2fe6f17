/* page.c: filling the template of a page (page.h). */
#include "eval/page.h"

#include <errno.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"

/* ---- parts ---- */

mn_status mn__page_put_library(FILE *to, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__map map;
    MN_TRY(mn__map_open(&map, path, diag));
    /* Neither library ends a script; a file that does is none of them. */
    if (memmem(map.data, map.size, "</script", 8))
        st = mn__fail(diag, MN_EINPUT, "%s: not a script that can stand in a page", path);
    else
        fwrite(map.data, 1, map.size, to);
    mn__map_close(&map);
done:
    return st;
}

mn_status mn__page_find_library(const char *path, const char *package, mn_diag *diag)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return mn__fail(diag, MN_EINPUT, "%s: %s; the page's charts need it: apt-get install %s",
                        path, strerror(errno), package);
    fclose(f);
    return MN_OK;
}

void mn__page_put_escaped(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            fprintf(to, "&#%d;", *text);
        else
            fputc(*text, to);
    }
}

/* ---- base64 ---- */

static void put_group(const mn__base64 *b)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)b->held[0] << 16 | (uint32_t)b->held[1] << 8 | b->held[2];
    char out[4];
    for (size_t i = 0; i < 4; i++) out[i] = i <= b->n_held ? digit[bits >> (18 - 6 * i) & 63] : '=';
    fwrite(out, 1, 4, b->to);
}

void mn__base64_put(mn__base64 *b, const void *data, size_t n)
{
    const uint8_t *from = data;
    for (size_t i = 0; i < n; i++) {
        b->held[b->n_held++] = from[i];
        if (b->n_held < 3) continue;
        put_group(b);
        b->n_held = 0;
    }
}

void mn__base64_put_varint(mn__base64 *b, uint64_t x)
{
    uint8_t byte[10];
    size_t n = 0;
    for (; x >= 128; x >>= 7) byte[n++] = (uint8_t)(x | 128);
    byte[n++] = (uint8_t)x;
    mn__base64_put(b, byte, n);
}

void mn__base64_flush(mn__base64 *b)
{
    if (!b->n_held) return;
    memset(b->held + b->n_held, 0, 3 - b->n_held);
    put_group(b);
    b->n_held = 0;
}

/* ---- the whole ---- */

mn_status mn__page_fill(FILE *to, const unsigned char *html, size_t n, mn__page_put put,
                        const void *ctx, mn_diag *diag)
{
    static const char begin[] = "<!--mneme:", end[] = "-->";
    const char *at = (const char *)html, *stop = at + n;
    mn_status st = MN_OK;
    while (at < stop) {
        const char *mark = memmem(at, (size_t)(stop - at), begin, sizeof begin - 1);
        const char *after = mark ? memmem(mark, (size_t)(stop - mark), end, sizeof end - 1) : NULL;
        char name[32];
        if (!after) break;
        fwrite(at, 1, (size_t)(mark - at), to);
        mark += sizeof begin - 1;
        snprintf(name, sizeof name, "%.*s", (int)(after - mark), mark);
        MN_TRY(put(to, name, ctx, diag));
        at = after + sizeof end - 1;
    }
    fwrite(at, 1, (size_t)(stop - at), to);
done:
    return st;
}
