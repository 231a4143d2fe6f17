/* page.c: templates of pages. */
#include "base/page.h"

#include <errno.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"

mn_status mn__page_find_library(const char *path, const char *package, mn_diag *diag)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return mn__fail(diag, MN_EINPUT, "%s: %s; the report's charts need it: apt-get install %s",
                        path, strerror(errno), package);
    fclose(f);
    return MN_OK;
}

mn_status mn__page_put_library(FILE *to, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__map map;
    MN_TRY(mn__map_open(&map, path, diag));
    /* No library ends a script; a file that does is none. */
    if (memmem(map.data, map.size, "</script", 8))
        st = mn__fail(diag, MN_EINPUT, "%s: not a script that can stand in a page", path);
    else
        fwrite(map.data, 1, map.size, to);
    mn__map_close(&map);
done:
    return st;
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

/* "<" stands in strings alone. */
static int put_piece(const char *piece, size_t n, void *to)
{
    while (n > 0) {
        const char *mark = memchr(piece, '<', n);
        size_t plain = mark ? (size_t)(mark - piece) : n;
        fwrite(piece, 1, plain, to);
        if (mark) fputs("\\u003c", to), plain++;
        piece += plain;
        n -= plain;
    }
    return 0;
}

bool mn__page_put_json(FILE *to, const json_t *doc)
{
    return json_dump_callback(doc, put_piece, to,
                              JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER |
                                  JSON_REAL_PRECISION(MN__PAGE_DIGITS)) == 0;
}

mn_status mn__page_write(FILE *to, const mn__page *page, mn_diag *diag)
{
    static const char begin[] = "<!--mneme:", end[] = "-->";
    const char *at = (const char *)page->html, *stop = at + page->n_html;
    mn_status st = MN_OK;
    while (at < stop) {
        const char *mark = memmem(at, (size_t)(stop - at), begin, sizeof begin - 1);
        const char *after = mark ? memmem(mark, (size_t)(stop - mark), end, sizeof end - 1) : NULL;
        if (!after) break;
        fwrite(at, 1, (size_t)(mark - at), to);
        const char *name = mark + sizeof begin - 1;
        MN_TRY(page->put(to, name, (size_t)(after - name), page->ctx, diag));
        at = after + sizeof end - 1;
    }
    fwrite(at, 1, (size_t)(stop - at), to);
done:
    return st;
}
