/* text_sink.c: pieces of a document, put together. */
#include "text_sink.h"

#include <stdlib.h>
#include <string.h>

void text_sink_put(const char *piece, size_t n, void *sink)
{
    text_sink *t = sink;
    if (t->n + n > t->cap && !t->failed) {
        size_t cap = 2 * (t->n + n) + 4096;
        char *more = realloc(t->data, cap);
        t->failed = !more;
        if (more) {
            t->data = more;
            t->cap = cap;
        }
    }
    if (t->failed) return;
    memcpy(t->data + t->n, piece, n);
    t->n += n;
}

json_t *text_sink_json(text_sink *t)
{
    json_error_t why;
    json_t *doc = t->failed || !t->n ? NULL : json_loadb(t->data, t->n, 0, &why);
    free(t->data);
    *t = (text_sink){0};
    return doc;
}
