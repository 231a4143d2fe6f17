/* text_sink.h: documents that the library hands out piece by piece, put together and read. */
#ifndef MNEME_TEXT_SINK_H
#define MNEME_TEXT_SINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Start with all zero; data is the caller's to free. */
typedef struct text_sink {
    char *data;
    size_t n, cap;
    bool failed; /* no memory */
} text_sink;
void text_sink_put(const char *piece, size_t n, void *sink);
/* The whole as JSON, the caller's; the text is freed. NULL: no memory. */
json_t *text_sink_json(text_sink *t);

#endif
