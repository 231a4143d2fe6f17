/* page.c: templates of pages. */
#include "eval/page.h"

#include <string.h>

#include "base/diag.h"
#include "base/file.h"

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
